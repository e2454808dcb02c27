import { assert, describe, it, vi } from "@effect/vitest"
import { RetryPolicy, Strategy, UploadFile } from "@sluice/core"
import type * as Tus from "@sluice/core/destinations/Tus"
import { Deferred, Effect, Fiber, TestClock } from "effect"
import { errorName } from "../../../support/ErrorName.js"
import * as LargeRun from "../../../support/LargeRun.js"
import { sameBytes } from "../../../support/TestSource.js"
import * as TusModel from "../../../support/TusModel.js"
import { driver, film, filmBytes, nth, saying, status, upload } from "../../../support/TusRun.js"
import type { Setup } from "../../../support/TusRun.js"

vi.setConfig({ testTimeout: 10_000 })

/** Bytes never come with the creation, so that every part is two requests. */
const extensions = ["creation", "termination", "concatenation"]

const parallel = ({ model, ...setup }: Setup = {}) =>
  upload({ file: film, ...setup, model: model instanceof TusModel.Model ? model : { extensions, ...model } })

const part = (number: number, size: number, path = `/files/${number}`) => [
  `POST /files/ concat=partial length=${size}: 201`,
  `PATCH ${path} offset=0 ${size} B: 204`
]
const parts = [...part(1, 10), ...part(2, 10), ...part(3, 5)]
const joined = "POST /files/ concat=final;/files/1 /files/2 /files/3: 201"
const whole = "HEAD /files/4: 200"
const removed = ["DELETE /files/1: 204", "DELETE /files/2: 204", "DELETE /files/3: 204"]

const isWhole = (model: TusModel.Model, bytes = filmBytes) => {
  assert.strictEqual(model.uploads.size, 1)
  assert.isTrue(sameBytes(model.whole().get("film"), bytes))
}

describe("a large file, if the server concatenates", () => {
  it.effect("consists of parts that are separate uploads", () =>
    Effect.gen(function*() {
      const told: Array<Tus.Uploaded> = []
      const { history, model, outcome } = yield* parallel({
        options: { onStored: (uploaded) => Effect.sync(() => void told.push(uploaded)) }
      })
      assert.deepStrictEqual([outcome, ...history], ["stored", ...parts, joined, whole, ...removed])
      isWhole(model)
      assert.deepStrictEqual(model.requests.map(({ headers }) => headers["upload-metadata"] === undefined), [
        ...Array.from({ length: 7 }, () => true),
        false,
        ...Array.from({ length: 4 }, () => true)
      ])
      assert.deepStrictEqual([...TusModel.metadataOf(model.requests[7]!.headers["upload-metadata"]!)!], [
        ["filename", "film"],
        ["filetype", "video/mp4"]
      ])
      assert.deepStrictEqual(told, [{ key: "film", url: `${TusModel.origin}/files/4`, size: 25 }])
    }))

  it.effect("has several parts in flight", () =>
    Effect.gen(function*() {
      const all = yield* Deferred.make<void>()
      let inFlight = 0
      const hang = Effect.suspend(() => ++inFlight === 3 ? Deferred.succeed(all, undefined) : Effect.void)
      const model = new TusModel.Model({ extensions, fault: nth("PATCH", { hang }, 1, 3) })
      const fiber = yield* Effect.fork(
        parallel({ model, uploader: { strategy: Strategy.workerPool({ workers: 3 }) } })
      )
      yield* Deferred.await(all)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(model.uploads.size, 0)
    }))

  it.effect("is sent in order if that is requested", () =>
    Effect.gen(function*() {
      const { history } = yield* parallel({ options: { concatenation: false } })
      assert.strictEqual(history[0], "POST /files/ length=25: 201")
    }))

  it.effect("need not have a known size", () =>
    Effect.gen(function*() {
      const { history, model } = yield* parallel({ file: UploadFile.make("film", LargeRun.streamed(filmBytes)) })
      // The second part is larger than the first, since their number is unknown.
      assert.deepStrictEqual(history, [
        ...part(1, 10),
        ...part(2, 15),
        "POST /files/ concat=final;/files/1 /files/2: 201",
        "HEAD /files/3: 200",
        "DELETE /files/1: 204",
        "DELETE /files/2: 204"
      ])
      isWhole(model)
    }))

  it.effect("has parts with checksums, and not with their creation, so that none is left without an address", () =>
    Effect.gen(function*() {
      const { history, model, outcome } = yield* parallel({ model: { extensions: TusModel.all } })
      assert.strictEqual(outcome, "stored")
      assert.deepStrictEqual(
        history.map((line) => line.replace(/checksum=sha256 \S+ /, "sum ")),
        [...parts.map((line) => line.replace(" offset", " sum offset")), joined, whole, ...removed]
      )
      isWhole(model)
    }))

  it.effect("has a part that broke sent again, and its beginning removed", () =>
    Effect.gen(function*() {
      const { history, model } = yield* parallel({ model: { fault: nth("PATCH", { persist: 3 }, 2) } })
      assert.deepStrictEqual(history, [
        ...part(1, 10),
        "POST /files/ concat=partial length=10: 201",
        "PATCH /files/2 offset=0 10 B: broken after 3",
        "HEAD /files/2: 200",
        "DELETE /files/2: 204",
        ...part(3, 5),
        ...part(4, 10),
        "POST /files/ concat=final;/files/1 /files/4 /files/3: 201",
        "HEAD /files/5: 200",
        "DELETE /files/1: 204",
        "DELETE /files/4: 204",
        "DELETE /files/3: 204"
      ])
      isWhole(model)
    }))

  it.effect("is removed with all of its parts when it cannot be", () =>
    Effect.gen(function*() {
      const { history, model, outcome } = yield* parallel({ model: { fault: nth("PATCH", status(403), 3) } })
      assert.deepStrictEqual([outcome, ...history], [
        "Rejected Forbidden",
        ...part(1, 10),
        ...part(2, 10),
        "POST /files/ concat=partial length=5: 201",
        "PATCH /files/3 offset=0 5 B: 403",
        "DELETE /files/3: 204",
        "DELETE /files/1: 204",
        "DELETE /files/2: 204"
      ])
      assert.strictEqual(model.uploads.size, 0)
    }))

  it.effect("sends the rest of a part of which the server keeps only a beginning", () =>
    Effect.gen(function*() {
      const { model, outcome, report } = yield* parallel({
        model: { fault: (request) => request.method === "PATCH" ? { keep: 4 } : undefined }
      })
      assert.deepStrictEqual([outcome, report.retries], ["stored", 0])
      isWhole(model)
    }))

  /** The answers of servers about an upload that they are concatenating. */
  const assembling: ReadonlyArray<readonly [what: string, fault: TusModel.Fault]> = [
    ["nothing", { alter: () => ({ status: 200, headers: { "upload-concat": "final;/files/1 /files/2 /files/3" } }) }],
    ["its length only", { alter: () => ({ status: 200, headers: { "upload-length": "25" } }) }],
    ["an offset that still grows", saying({ "upload-offset": "12", "upload-length": "25" })],
    ["that it is locked", status(423)],
    ["that it is busy", status(503)]
  ]
  for (const [what, fault] of assembling) {
    it.effect(`is waited for while it is put together, for minutes, and nothing is removed before: the server says ${what}`, () =>
      Effect.gen(function*() {
        let isThere = false
        const model: TusModel.Model = new TusModel.Model({
          extensions,
          fault: ({ method, path }) => method === "HEAD" && path === "/files/4" && !isThere ? fault : undefined
        })
        const fiber = yield* Effect.fork(
          parallel({ model, uploader: { retry: RetryPolicy.none, multipartThreshold: 10, partSize: 10 } })
        )
        yield* TestClock.adjust("9 minutes")
        assert.strictEqual(model.uploads.size, 4)
        assert.deepStrictEqual(model.log.filter((line) => line.startsWith("DELETE")), [])
        assert.isBelow(model.log.filter((line) => line.startsWith("HEAD")).length, 100)
        isThere = true
        yield* TestClock.adjust("30 seconds")
        const { outcome, report } = yield* Fiber.join(fiber)
        assert.deepStrictEqual([outcome, report.retries], ["stored", 0])
        isWhole(model)
      }))
  }

  it.effect("that is never put together fails after ten minutes, and is removed then", () =>
    Effect.gen(function*() {
      const model: TusModel.Model = new TusModel.Model({
        extensions,
        fault: ({ method, path }) =>
          method === "HEAD" && path === "/files/4" ? { alter: () => ({ status: 200, headers: {} }) } : undefined
      })
      const fiber = yield* Effect.fork(parallel({ model }))
      yield* TestClock.adjust("9 minutes")
      assert.strictEqual(model.uploads.size, 4)
      yield* TestClock.adjust("2 minutes")
      const { error, outcome } = yield* Fiber.join(fiber)
      assert.strictEqual(outcome, "Transient Unavailable")
      assert.include(error?.message, "has not finished concatenating film")
      assert.strictEqual(model.uploads.size, 0)
    }))

  it.effect("keeps its parts if the whole is not visible", () =>
    Effect.gen(function*() {
      const { history, model, outcome } = yield* parallel({ model: { fault: nth("HEAD", status(404)) } })
      assert.deepStrictEqual([outcome, ...history], ["stored", ...parts, joined, "HEAD /files/4: 404"])
      assert.strictEqual(model.uploads.size, 4)
    }))

  it.effect("starts over if the whole has another size", () =>
    Effect.gen(function*() {
      const { model, outcome } = yield* parallel({
        model: { fault: nth("HEAD", saying({ "upload-length": "24", "upload-offset": "24" }), 1, 99) }
      })
      assert.strictEqual(outcome, "IntegrityMismatch Size")
      assert.strictEqual(model.uploads.size, 0)
    }))

  it.effect("starts over if a part is missing at the end", () =>
    Effect.gen(function*() {
      const model: TusModel.Model = new TusModel.Model({
        extensions,
        fault: ({ headers }, n) => {
          if (headers["upload-concat"]?.startsWith("final") === true && n === 4) model.uploads.delete("/files/2")
          return undefined
        }
      })
      const { history, outcome } = yield* parallel({ model })
      assert.deepStrictEqual([outcome, ...history.slice(6, 10)], [
        "stored",
        joined.replace("201", "400"),
        "HEAD /files/1: 200",
        "HEAD /files/2: 404",
        "HEAD /files/3: 200"
      ])
      isWhole(model)
    }))

  it.effect("fails if the server does not concatenate after all", () =>
    Effect.gen(function*() {
      const { model, outcome } = yield* parallel({ model: { fault: nth("POST", status(501), 4, 99) } })
      assert.strictEqual(outcome, "Rejected Unsupported")
      assert.strictEqual(model.uploads.size, 0)
    }))
})

describe("another process", () => {
  const begun = Effect.gen(function*() {
    const journal = yield* LargeRun.memoryJournal
    let down = true
    const model = new TusModel.Model({
      extensions,
      fault: ({ method }, n) => method === "PATCH" && n > 2 && down ? "unreached" : undefined
    })
    const before = yield* parallel({ model, journal })
    assert.strictEqual(before.outcome, "Transient Connection")
    down = false
    // The uploads from attempts at the third part differ from those that come later.
    for (const [path, { bytes }] of model.uploads) if (bytes.length === 0) model.uploads.delete(path)
    assert.deepStrictEqual([...model.uploads.keys()], ["/files/1", "/files/2"])
    return { journal, model }
  })

  it.effect("sends only the missing parts", () =>
    Effect.gen(function*() {
      const { journal, model } = yield* begun
      const { history, outcome } = yield* parallel({ model, journal })
      assert.deepStrictEqual([outcome, ...history], [
        "stored",
        "HEAD /files/1: 200",
        "HEAD /files/2: 200",
        ...part(3, 5, "/files/6"),
        "POST /files/ concat=final;/files/1 /files/2 /files/6: 201",
        "HEAD /files/7: 200",
        "DELETE /files/1: 204",
        "DELETE /files/2: 204",
        "DELETE /files/6: 204"
      ])
      assert.deepStrictEqual([...TusModel.metadataOf(model.requests.at(-5)!.headers["upload-metadata"]!)!], [
        ["filename", "film"],
        ["filetype", "video/mp4"]
      ])
      isWhole(model)
    }))

  it.effect("sends again what has expired, and what is incomplete", () =>
    Effect.gen(function*() {
      for (
        const spoil of [
          (model: TusModel.Model) => void model.uploads.delete("/files/1"),
          (model: TusModel.Model) => {
            const upload = model.uploads.get("/files/1")!
            upload.bytes = upload.bytes.subarray(0, 9)
          }
        ]
      ) {
        const { journal, model } = yield* begun
        spoil(model)
        const { history, outcome } = yield* parallel({ model, journal })
        assert.strictEqual(outcome, "stored")
        assert.deepStrictEqual(history.filter((line) => line.startsWith("PATCH")), [
          "PATCH /files/6 offset=0 10 B: 204",
          "PATCH /files/7 offset=0 5 B: 204"
        ])
        isWhole(model)
      }
    }))

  it.effect("removes all parts if the file has changed", () =>
    Effect.gen(function*() {
      const { journal, model } = yield* begun
      const { history, outcome } = yield* parallel({ model, journal, file: LargeRun.onDisk("film", 25, 2) })
      assert.deepStrictEqual([outcome, ...history.slice(0, 2)], [
        "stored",
        "DELETE /files/1: 204",
        "DELETE /files/2: 204"
      ])
      isWhole(model, LargeRun.bytesOf(25, 2))
    }))

  it.effect("that does not send parts at once starts over, and vice versa", () =>
    Effect.gen(function*() {
      const { journal, model } = yield* begun
      const { history, outcome } = yield* parallel({ model, journal, options: { concatenation: false } })
      assert.deepStrictEqual([outcome, history[2]], ["stored", "POST /files/ length=25: 201"])
      isWhole(model)
      const other = new TusModel.Model({ extensions })
      other.handle({
        method: "POST",
        path: "/files/",
        headers: { "tus-resumable": "1.0.0", "upload-length": "25" },
        body: new Uint8Array(0)
      })
      const { multipart } = yield* driver(other)
      const error = yield* Effect.flip(multipart.listParts({ key: "film", uploadId: "/files/1" }))
      assert.strictEqual(errorName(error), "SessionGone")
      assert.strictEqual(other.uploads.size, 0)
    }))
})
