import { assert, describe, it, vi } from "@effect/vitest"
import { Destination, Transport, UploadError } from "@sluice/core"
import * as Tus from "@sluice/core/destinations/Tus"
import { Deferred, Effect, Fiber, Layer, Redacted, TestClock } from "effect"
import * as TusModel from "../../../support/TusModel.js"
import { driver, film, medium, mib, nth, status, upload } from "../../../support/TusRun.js"

vi.setConfig({ testTimeout: 10_000 })

/** What the driver makes of a server. */
const offered = (model: TusModel.Options, options?: Partial<Tus.Options>) =>
  Effect.map(driver(new TusModel.Model(model), options), ({ capabilities, multipart: { limits } }) => ({
    maxPutSize: capabilities.maxPutSize,
    checksums: capabilities.checksums,
    wholeBodies: capabilities.wholeBodies,
    inOrder: limits.inOrder,
    maxObjectSize: limits.maxObjectSize
  }))

const plain = {
  maxPutSize: Infinity,
  checksums: [],
  wholeBodies: false,
  inOrder: true,
  maxObjectSize: Number.MAX_SAFE_INTEGER
}

describe("what a server can do", () => {
  it.effect("is what it says", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* offered({}), plain)
      assert.deepStrictEqual(yield* offered({ extensions: TusModel.all, maxSize: 1000 }), {
        maxPutSize: 1000,
        checksums: ["sha256", "md5"],
        wholeBodies: true,
        inOrder: false,
        maxObjectSize: 1000
      })
      assert.deepStrictEqual(yield* offered({ extensions: ["creation", "checksum"], checksums: ["sha1"] }), plain)
      assert.deepStrictEqual(yield* offered({ versions: "2.0.0,1.0.0" }), plain)
    }))

  it.effect("is taken from options, without a request", () =>
    Effect.gen(function*() {
      const { model, outcome } = yield* upload({
        model: { extensions: ["creation", "checksum"] },
        options: { offer: { extensions: ["creation"], maxSize: 10, checksums: ["md5"] } }
      })
      assert.strictEqual(outcome, "stored")
      assert.deepStrictEqual(model.log.map((line) => line.replace(/checksum=md5 \S+/, "md5")), [
        "POST /files/ length=5: 201",
        "PATCH /files/1 md5 offset=0 5 B: 204"
      ])
    }))

  const unsaid: ReadonlyArray<readonly [what: string, fault: TusModel.Fault]> = [
    ["401", status(401)],
    ["404", status(404)],
    ["405", status(405)],
    ["204 of a server for other things", status(204, { allow: "GET" })],
    ["nonsense for numbers", {
      alter: ({ headers, status }) => ({ status, headers: { ...headers, "tus-max-size": "-1", "tus-extension": "" } })
    }]
  ]
  for (const [what, fault] of unsaid) {
    it.effect(`is tried where it answers ${what}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* offered({ fault: nth("OPTIONS", fault) }), {
          ...plain,
          checksums: plain.checksums
        })
        const { history, outcome } = yield* upload({ file: film, model: { fault: nth("OPTIONS", fault) } })
        assert.deepStrictEqual([outcome, history[0]], ["stored", "POST /files/ length=25: 201"])
      }))
  }

  it.effect("is asked again if it fails, three times in all", () =>
    Effect.gen(function*() {
      for (const [times, checksums] of [[2, ["sha256", "md5"]], [3, []]] as const) {
        const model = new TusModel.Model({
          extensions: TusModel.all,
          fault: (_, n) => n > times ? undefined : n === 1 ? "unreached" : status(503)
        })
        const asking = yield* Effect.fork(driver(model))
        yield* TestClock.adjust("199 millis")
        assert.strictEqual(model.log.length, 1)
        yield* TestClock.adjust("401 millis")
        const { capabilities } = yield* Fiber.join(asking)
        assert.deepStrictEqual(capabilities.checksums, checksums)
        assert.strictEqual(model.log.length, 3)
      }
    }))

  it.effect("is asked again if the request is throttled", () =>
    Effect.gen(function*() {
      const transport = TusModel.transport(new TusModel.Model({ extensions: TusModel.all }))
      let asked = 0
      const send: Transport.Transport["Type"]["send"] = (request) =>
        Effect.suspend(() =>
          asked++ === 0 ? Effect.fail(new UploadError.Throttled({ detail: "later" })) : transport.send(request)
        )
      const destination = Layer.provide(
        Tus.layer({ url: TusModel.url }),
        Layer.succeed(Transport.Transport, { ...transport, send })
      )
      const asking = yield* Effect.fork(Effect.provide(Destination.Destination, destination))
      yield* TestClock.adjust("199 millis")
      assert.strictEqual(asked, 1)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual((yield* Fiber.join(asking)).capabilities.checksums, ["sha256", "md5"])
      assert.strictEqual(asked, 2)
    }))

  it.effect("is not waited for longer than 10 seconds", () =>
    Effect.gen(function*() {
      const model = new TusModel.Model({ fault: nth("OPTIONS", { hang: Effect.void }) })
      const asking = yield* Effect.fork(driver(model))
      yield* TestClock.adjust("9999 millis")
      assert.isNull(yield* Fiber.poll(asking).pipe(Effect.map((exit) => exit._tag === "None" ? null : exit)))
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(asking)).name, TusModel.url)
    }))
})

describe("an address", () => {
  for (
    const [url, detail] of [
      ["tus.example.org/files", "tus.example.org/files is not a valid address."],
      ["ftp://tus.example.org/", "ftp://tus.example.org/ is not a valid address."],
      ["", " is not a valid address."],
      [
        "https://me:s3cr3t@tus.example.org/",
        "The address of https://tus.example.org/ contains a user or a password: pass them as credentials."
      ]
    ] as const
  ) {
    it.effect(`of ${url} is refused, and nothing is sent`, () =>
      Effect.gen(function*() {
        const { error, model, outcome } = yield* upload({ options: { url } })
        assert.deepStrictEqual([outcome, error?.detail, model.log.length], ["Rejected Unsupported", detail, 0])
      }))
  }

  it.effect("is used unchanged, without its fragment, and shown without its query", () =>
    Effect.gen(function*() {
      const model = new TusModel.Model({ extensions: ["creation"], fault: nth("POST", status(403)) })
      const { error } = yield* upload({ model, options: { url: `${TusModel.url}?sig=s3cr3t#part` } })
      assert.deepStrictEqual(model.requests.map(({ path }) => path), ["/files/?sig=s3cr3t", "/files/?sig=s3cr3t"])
      assert.strictEqual(error?.detail, `${TusModel.url} answered 403`)
    }))
})

describe("credentials and headers", () => {
  it.effect("are sent with every request, and do not replace headers of the protocol", () =>
    Effect.gen(function*() {
      const { model } = yield* upload({
        file: medium,
        options: {
          credentials: Redacted.make("Bearer token"),
          headers: { "X-Tenant": "a", "Tus-Resumable": "0.0.1", "UPLOAD-LENGTH": "3", Authorization: "none" }
        }
      })
      for (const { headers } of model.requests) {
        assert.deepInclude(headers, { authorization: "Bearer token", "x-tenant": "a" })
        assert.deepStrictEqual(Object.keys(headers), Object.keys(headers).map((name) => name.toLowerCase()))
      }
      assert.strictEqual(model.requests[1]!.headers["upload-length"], String(mib + 1))
      assert.strictEqual(model.requests[1]!.headers["tus-resumable"], "1.0.0")
    }))
})

describe("a failure of the transport", () => {
  it.effect("does not reveal the address of an upload", () =>
    Effect.gen(function*() {
      const model = new TusModel.Model({
        locate: () => "/files/s3cr3t?x",
        fault: ({ method }) => method === "PATCH" || method === "HEAD" ? "unreached" : undefined
      })
      const { error, outcome } = yield* upload({ file: film, model })
      assert.strictEqual(outcome, "Transient Connection")
      assert.strictEqual(error?.detail, `The connection to ${TusModel.url} broke.`)
    }))
})

describe("an interruption", () => {
  it.effect("removes an upload that is being sent", () =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const model = new TusModel.Model({ fault: nth("PATCH", { hang: Deferred.succeed(reached, undefined) }) })
      const fiber = yield* Effect.fork(upload({ file: medium, model }))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(model.log.slice(1), [
        `POST /files/ length=${mib + 1}: 201`,
        `PATCH /files/1 offset=0 ${mib + 1} B: hangs`,
        "DELETE /files/1: 204"
      ])
    }))

  it.effect("does not wait for that longer than 5 seconds", () =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const removing = yield* Deferred.make<void>()
      const model = new TusModel.Model({
        fault: ({ method }) =>
          method === "PATCH"
            ? { hang: Deferred.succeed(reached, undefined) }
            : method === "DELETE"
            ? { hang: Deferred.succeed(removing, undefined) }
            : undefined
      })
      const fiber = yield* Effect.fork(upload({ file: medium, model }))
      yield* Deferred.await(reached)
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Deferred.await(removing)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(interrupting)
    }))
})
