import { assert, describe, it, vi } from "@effect/vitest"
import { Checksum, RetryPolicy, UploadFile } from "@sluice/core"
import type * as Tus from "@sluice/core/destinations/Tus"
import { Deferred, Effect, Fiber } from "effect"
import { errorName } from "../../../support/ErrorName.js"
import * as LargeRun from "../../../support/LargeRun.js"
import * as TestBody from "../../../support/TestBody.js"
import { sameBytes } from "../../../support/TestSource.js"
import * as TusModel from "../../../support/TusModel.js"
import { driver, film, filmBytes, nth, saying, status, upload } from "../../../support/TusRun.js"

vi.setConfig({ testTimeout: 10_000 })

const checksums = TusModel.all.filter((name) => name !== "concatenation")

const begun = "POST /files/ length=25: 201"
const first = "PATCH /files/1 offset=0 10 B: 204"
const second = "PATCH /files/1 offset=10 10 B: 204"
const third = "PATCH /files/1 offset=20 5 B: 204"
const look = "HEAD /files/1: 200"
const again = [
  begun,
  "PATCH /files/2 offset=0 10 B: 204",
  "PATCH /files/2 offset=10 10 B: 204",
  "PATCH /files/2 offset=20 5 B: 204",
  "HEAD /files/2: 200"
]

/** All faults that are given, each of its own requests. */
const faults = (...all: ReadonlyArray<TusModel.Options["fault"]>): TusModel.Options["fault"] => (request, n) => {
  for (const fault of all) {
    const found = fault?.(request, n)
    if (found !== undefined) return found
  }
  return undefined
}

const isWhole = (model: TusModel.Model, bytes = filmBytes) => {
  assert.strictEqual(model.uploads.size, 1)
  assert.isTrue(sameBytes(model.whole().get("film"), bytes))
}

describe("a large file", () => {
  it.effect("has an id from the server, and becomes an object with its last part", () =>
    Effect.gen(function*() {
      const { multipart } = yield* driver(new TusModel.Model({}))
      assert.deepInclude(multipart, { ownIds: false, becomesObject: true })
    }))

  it.effect("goes up part by part into one upload", () =>
    Effect.gen(function*() {
      const told: Array<Tus.Uploaded> = []
      const { history, model, outcome } = yield* upload({
        file: film,
        options: { onStored: (uploaded) => Effect.sync(() => void told.push(uploaded)) }
      })
      assert.deepStrictEqual([outcome, ...history], ["stored", begun, first, second, third, look])
      isWhole(model)
      assert.deepStrictEqual([...TusModel.metadataOf(model.requests[1]!.headers["upload-metadata"]!)!], [
        ["filename", "film"],
        ["filetype", "video/mp4"]
      ])
      assert.deepStrictEqual(told, [{ key: "film", url: `${TusModel.origin}/files/1`, size: 25 }])
    }))

  const goesOn: ReadonlyArray<readonly [what: string, fault: TusModel.Fault, history: ReadonlyArray<string>]> = [
    ["an answer that is lost", "answerLost", [
      "PATCH /files/1 offset=10 10 B: 204 lost",
      look,
      third,
      look
    ]],
    ["a request that never arrives", "unreached", [
      "PATCH /files/1 offset=10 10 B: unreached",
      look,
      second,
      third,
      look
    ]],
    ["a connection that breaks", { persist: 3 }, [
      "PATCH /files/1 offset=10 10 B: broken after 3",
      look,
      "PATCH /files/1 offset=13 7 B: 204",
      third,
      look
    ]],
    ["409", status(409), ["PATCH /files/1 offset=10 10 B: 409", look, second, third, look]],
    ["423", status(423), ["PATCH /files/1 offset=10 10 B: 423", look, second, third, look]],
    ["429", status(429), ["PATCH /files/1 offset=10 10 B: 429", look, second, third, look]],
    ["500", status(500), ["PATCH /files/1 offset=10 10 B: 500", look, second, third, look]],
    ["503", status(503), ["PATCH /files/1 offset=10 10 B: 503", look, second, third, look]],
    ["204 with less than was sent", { keep: 4 }, [second, "PATCH /files/1 offset=14 6 B: 204", third, look]],
    ["204 with less than it has", saying({ "upload-offset": "15" }), [
      second,
      "PATCH /files/1 offset=15 5 B: 409",
      look,
      third,
      look
    ]],
    ["204 with more than was sent", saying({ "upload-offset": "999" }), [second, look, third, look]],
    ["204 with nonsense", saying({ "upload-offset": "many" }), [second, look, third, look]],
    [
      "204 without an offset",
      { alter: ({ headers: { "upload-offset": _, ...headers }, status }) => ({ status, headers }) },
      [second, look, third, look]
    ]
  ]
  for (const [what, fault, rest] of goesOn) {
    it.effect(`goes on after ${what}, from where the server is`, () =>
      Effect.gen(function*() {
        const { history, model, outcome } = yield* upload({ file: film, model: { fault: nth("PATCH", fault, 2) } })
        assert.deepStrictEqual([outcome, ...history], ["stored", begun, first, ...rest])
        isWhole(model)
      }))
  }

  it.effect("succeeds if the server keeps only a part of every request, without another attempt", () =>
    Effect.gen(function*() {
      for (const extensions of [TusModel.withoutConcatenation, checksums]) {
        const { history, model, outcome, report } = yield* upload({
          file: film,
          model: { extensions, fault: (request) => request.method === "PATCH" ? { keep: 3 } : undefined },
          uploader: { multipartThreshold: 10, partSize: 10, retry: RetryPolicy.none }
        })
        assert.deepStrictEqual([outcome, report.retries, report.bytes.uploaded], ["stored", 0, 25])
        assert.deepStrictEqual(
          history.map((line) =>
            /^PATCH \S+ (?:checksum=\S+ \S+ )?offset=(\d+) (\d+) B: 204$/.exec(line)?.slice(1).join("+")
          )
            .filter((line) => line !== undefined),
          ["0+10", "3+7", "6+4", "9+1", "10+10", "13+7", "16+4", "19+1", "20+5", "23+2"]
        )
        isWhole(model)
      }
    }))

  it.effect("continues after 409 with what an earlier request of its own has stored in the meantime", () =>
    Effect.gen(function*() {
      const model: TusModel.Model = new TusModel.Model({
        fault: ({ body, method, path }, n) => {
          if (method !== "PATCH" || n !== 2) return undefined
          // The request is given up here, and carried out there.
          const there = model.uploads.get(path)!
          there.bytes = Buffer.concat([there.bytes, body])
          return status(409)
        }
      })
      const { history, outcome } = yield* upload({ file: film, model })
      assert.deepStrictEqual([outcome, ...history], [
        "stored",
        begun,
        first,
        "PATCH /files/1 offset=10 10 B: 409",
        look,
        third,
        look
      ])
      isWhole(model)
    }))

  const beginsAnew: ReadonlyArray<
    readonly [what: string, fault: TusModel.Options["fault"], history: ReadonlyArray<string>]
  > = [
    ["404 to a part", nth("PATCH", status(404), 2), ["PATCH /files/1 offset=10 10 B: 404"]],
    ["410 to a part", nth("PATCH", status(410), 2), ["PATCH /files/1 offset=10 10 B: 410"]],
    ...[403, 404, 410].map((code) =>
      [
        `${code} to a look`,
        faults(nth("PATCH", "unreached", 2), nth("HEAD", status(code))),
        ["PATCH /files/1 offset=10 10 B: unreached", `HEAD /files/1: ${code}`]
      ] as const
    ),
    [
      "a look that finds less than was confirmed",
      faults(nth("PATCH", "unreached", 2), nth("HEAD", saying({ "upload-offset": "9" }))),
      ["PATCH /files/1 offset=10 10 B: unreached", look]
    ],
    [
      "a look that finds more than was ever sent",
      faults(nth("PATCH", "unreached", 2), nth("HEAD", saying({ "upload-offset": "21" }))),
      ["PATCH /files/1 offset=10 10 B: unreached", look]
    ],
    [
      "a look that finds an upload of another length",
      faults(nth("PATCH", "unreached", 2), nth("HEAD", saying({ "upload-length": "26" }))),
      ["PATCH /files/1 offset=10 10 B: unreached", look]
    ]
  ]
  for (const [what, fault, rest] of beginsAnew) {
    it.effect(`begins anew after ${what}`, () =>
      Effect.gen(function*() {
        const { history, model, outcome } = yield* upload({ file: film, model: { fault } })
        assert.deepStrictEqual([outcome, ...history], [
          "stored",
          begun,
          first,
          ...rest,
          "DELETE /files/1: 204",
          ...again
        ])
        isWhole(model)
      }))
  }

  const fails: ReadonlyArray<readonly [code: number, headers: Record<string, string>, outcome: string]> = [
    [400, {}, "Rejected Unsupported"],
    [401, {}, "Rejected Unauthorized"],
    [403, {}, "Rejected Forbidden"],
    [412, { "tus-version": "2.0.0" }, "Rejected Unsupported"],
    [413, {}, "Rejected TooLarge"],
    [415, {}, "Rejected Unsupported"],
    [307, { location: "/files/2" }, "Rejected Redirected"],
    [308, { location: "https://evil.example.org/" }, "Rejected Redirected"]
  ]
  for (const [code, headers, expected] of fails) {
    it.effect(`fails after ${code}, and leaves nothing`, () =>
      Effect.gen(function*() {
        const { history, model, outcome } = yield* upload({
          file: film,
          model: { fault: nth("PATCH", status(code, headers), 2) }
        })
        assert.deepStrictEqual([outcome, ...history], [
          expected,
          begun,
          first,
          `PATCH /files/1 offset=10 10 B: ${code}`,
          "DELETE /files/1: 204"
        ])
        assert.strictEqual(model.uploads.size, 0)
      }))
  }

  it.effect("is gone if the server has less than it has confirmed", () =>
    Effect.gen(function*() {
      const model = new TusModel.Model({ fault: nth("HEAD", saying({ "upload-offset": "9" }), 2) })
      const { multipart } = yield* driver(model)
      const uploadId = yield* multipart.create({ key: "film", size: 25, checksum: undefined, token: "t" })
      const session = { key: "film", uploadId }
      const body = TestBody.make(filmBytes.subarray(0, 10))
      yield* multipart.uploadPart({ ...session, number: 1, offset: 0, total: 25, body })
      assert.deepStrictEqual(yield* multipart.listParts(session), [{ number: 0, size: 10 }])
      assert.strictEqual(errorName(yield* Effect.flip(multipart.listParts(session))), "SessionGone")
    }))

  it.effect("is stored if the server puts away complete uploads", () =>
    Effect.gen(function*() {
      const { history, outcome } = yield* upload({ file: film, model: { fault: nth("HEAD", status(404)) } })
      assert.deepStrictEqual([outcome, ...history], ["stored", begun, first, second, third, "HEAD /files/1: 404"])
    }))

  it.effect("is not stored before the server says so", () =>
    Effect.gen(function*() {
      const { history, outcome } = yield* upload({
        file: film,
        model: { fault: nth("HEAD", { alter: () => ({ status: 200, headers: {} }) }, 1, 9) }
      })
      assert.deepStrictEqual([outcome, ...history], [
        "Rejected Unexpected",
        begun,
        first,
        second,
        third,
        look,
        "DELETE /files/1: 204"
      ])
    }))

  it.effect("has a checksum with every part, if the server verifies one", () =>
    Effect.gen(function*() {
      const { history, model, outcome } = yield* upload({
        file: film,
        model: { extensions: checksums, fault: nth("PATCH", status(460), 2) }
      })
      const sum = (from: number, to: number) =>
        `checksum=sha256 ${Checksum.of("sha256", filmBytes.subarray(from, to)).value}`
      assert.deepStrictEqual([outcome, ...history], [
        "stored",
        begun,
        `PATCH /files/1 ${sum(0, 10)} offset=0 10 B: 204`,
        `PATCH /files/1 ${sum(10, 20)} offset=10 10 B: 460`,
        look,
        `PATCH /files/1 ${sum(10, 20)} offset=10 10 B: 204`,
        `PATCH /files/1 ${sum(20, 25)} offset=20 5 B: 204`,
        look
      ])
      isWhole(model)
    }))

  it.effect("has none if none is requested, or if the server knows only others", () =>
    Effect.gen(function*() {
      for (
        const [uploader, algorithms] of [
          [{ checksum: "none" }, undefined],
          [{ checksum: "crc64nvme" }, undefined],
          [{}, ["sha1"]]
        ] as const
      ) {
        const { history } = yield* upload({
          file: film,
          uploader,
          model: { extensions: checksums, checksums: algorithms }
        })
        assert.deepStrictEqual(history, [begun, first, second, third, look])
      }
    }))

  it.effect("is refused before anything is sent if it is too large", () =>
    Effect.gen(function*() {
      const { history, outcome } = yield* upload({ file: film, model: { maxSize: 24 } })
      assert.deepStrictEqual([outcome, ...history], ["Rejected TooLarge"])
      const fits = yield* upload({ file: film, model: { maxSize: 25 } })
      assert.strictEqual(fits.outcome, "stored")
    }))

  it.effect("is aborted when it is interrupted", () =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const model = new TusModel.Model({ fault: nth("PATCH", { hang: Deferred.succeed(reached, undefined) }, 2) })
      const fiber = yield* Effect.fork(upload({ file: film, model }))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(model.log.slice(1), [
        begun,
        first,
        "PATCH /files/1 offset=10 10 B: hangs",
        "DELETE /files/1: 204"
      ])
    }))

  it.effect("is left to expire if the server removes nothing", () =>
    Effect.gen(function*() {
      for (const code of [404, 405, 410, 501]) {
        const model = new TusModel.Model()
        const { multipart } = yield* driver(new TusModel.Model({ fault: nth("DELETE", status(code)) }))
        yield* multipart.abort({ key: "film", uploadId: "/files/1" })
        const other = yield* driver(new TusModel.Model({ extensions: ["creation"] }))
        yield* other.multipart.abort({ key: "film", uploadId: "/files/1" })
        assert.strictEqual(model.log.length, 0)
      }
      const { multipart } = yield* driver(new TusModel.Model({ fault: nth("DELETE", status(423)) }))
      const error = yield* Effect.flip(multipart.abort({ key: "film", uploadId: "/files/1" }))
      assert.strictEqual(errorName(error), "Transient Unavailable")
    }))
})

describe("a large file of unknown size", () => {
  const stream = (bytes = filmBytes) => UploadFile.make("film", LargeRun.streamed(bytes))
  const deferred = "POST /files/ defer-length=1: 201"
  const told = "PATCH /files/1 length=25 offset=25: 204"

  it.effect("declares its length at the end", () =>
    Effect.gen(function*() {
      const { history, model, outcome } = yield* upload({ file: stream() })
      assert.deepStrictEqual([outcome, ...history], ["stored", deferred, first, second, third, look, told])
      isWhole(model)
    }))

  it.effect("declares it once, even if the answer is lost", () =>
    Effect.gen(function*() {
      const { history, model, outcome } = yield* upload({
        file: stream(),
        model: { fault: nth("PATCH", "answerLost", 4) }
      })
      assert.deepStrictEqual([outcome, ...history], [
        "stored",
        deferred,
        first,
        second,
        third,
        look,
        `${told} lost`,
        look
      ])
      isWhole(model)
    }))

  it.effect("may be empty", () =>
    Effect.gen(function*() {
      const { history, model } = yield* upload({ file: stream(new Uint8Array(0)) })
      assert.deepStrictEqual(history, [deferred, look, "PATCH /files/1 length=0 offset=0: 204"])
      isWhole(model, new Uint8Array(0))
    }))

  it.effect("is refused if the server must know it", () =>
    Effect.gen(function*() {
      const { history, outcome } = yield* upload({ file: stream(), model: { extensions: ["creation"] } })
      assert.deepStrictEqual([outcome, ...history], ["Rejected Unsupported"])
    }))
})

describe("another process", () => {
  /** A process that ends after its first part, and one that continues. */
  const twice = (
    between: (model: TusModel.Model) => void = () => {},
    second: { readonly file?: UploadFile.UploadFile; readonly url?: string } = {}
  ) =>
    Effect.gen(function*() {
      const journal = yield* LargeRun.memoryJournal
      let down = true
      const model = new TusModel.Model({
        fault: ({ method }, n) => method === "PATCH" && n > 1 && down ? "unreached" : undefined
      })
      const before = yield* upload({ file: film, model, journal })
      assert.strictEqual(before.outcome, "Transient Connection")
      down = false
      between(model)
      return yield* upload({ file: second.file ?? film, model, journal })
    })

  it.effect("continues where the first process stopped", () =>
    Effect.gen(function*() {
      const { history, model, outcome } = yield* twice()
      assert.deepStrictEqual([outcome, ...history], ["stored", look, look, second, third, look])
      isWhole(model)
    }))

  it.effect("continues in the middle of a part", () =>
    Effect.gen(function*() {
      const { history, model, outcome } = yield* twice((model) => {
        const upload = model.uploads.get("/files/1")!
        upload.bytes = Buffer.concat([upload.bytes, filmBytes.subarray(10, 14)])
      })
      assert.deepStrictEqual([outcome, ...history], [
        "stored",
        look,
        look,
        "PATCH /files/1 offset=14 6 B: 204",
        third,
        look
      ])
      isWhole(model)
    }))

  it.effect("starts over if the upload has expired, and if it is another", () =>
    Effect.gen(function*() {
      const expired = yield* twice((model) => void model.uploads.delete("/files/1"))
      assert.deepStrictEqual([expired.outcome, ...expired.history], ["stored", "HEAD /files/1: 404", ...again])
      const other = yield* twice((model) => void (model.uploads.get("/files/1")!.length = 26))
      assert.strictEqual(other.outcome, "stored")
      assert.isTrue(sameBytes(other.model.whole().get("film"), filmBytes))
    }))

  it.effect("starts over if the file has changed, and removes what was begun", () =>
    Effect.gen(function*() {
      const { history, model, outcome } = yield* twice(() => {}, { file: LargeRun.onDisk("film", 25, 2) })
      assert.deepStrictEqual([outcome, ...history], ["stored", "DELETE /files/1: 204", ...again])
      isWhole(model, LargeRun.bytesOf(25, 2))
    }))

  it.effect("sends nothing to a path that is not on this server", () =>
    Effect.gen(function*() {
      const model = new TusModel.Model()
      const { multipart } = yield* driver(model)
      for (const uploadId of ["https://evil.example.org/x", "files/1", "", "parts:x a", "/a b", "/\\evil", "@evil/x"]) {
        const session = { key: "film", uploadId }
        assert.strictEqual(errorName(yield* Effect.flip(multipart.listParts(session))), "SessionGone", uploadId)
        yield* multipart.abort(session)
      }
      // With two slashes it would be a host of its own, were it not for the one before it.
      const error = yield* Effect.flip(multipart.listParts({ key: "film", uploadId: "//evil.example.org/x" }))
      assert.strictEqual(errorName(error), "SessionGone")
      assert.deepStrictEqual(model.log, ["OPTIONS /files/: 204", "HEAD //evil.example.org/x: 404"])
    }))
})
