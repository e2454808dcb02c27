/**
 * Answers and failures of servers, made on the way: each class of the table of retries, for objects that go up in one
 * request and for parts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Destination, RetryPolicy, UploadFile } from "@sluice/core"
import type { Uploader } from "@sluice/core"
import { Effect } from "effect"
import { pattern, sameBytes } from "../support/TestSource.js"
import { FlakyTransport } from "./FlakyTransport.js"
import type { Fault } from "./FlakyTransport.js"
import { flaky, told, uploaderOptions, uploadOne } from "./Subject.js"
import type { Subject } from "./Subject.js"

const answers = (status: number, headers: Readonly<Record<string, string>> = {}): Fault => ({
  _tag: "Answers",
  status,
  headers
})

/** What passes: tried again at once, and then well. */
const passing: ReadonlyArray<readonly [name: string, fault: Fault, tag: string]> = [
  ["408", answers(408), "Transient"],
  ["429", answers(429), "Throttled"],
  ["429 with Retry-After", answers(429, { "retry-after": "0" }), "Throttled"],
  ["500", answers(500), "Transient"],
  ["502", answers(502), "Transient"],
  ["503 with Retry-After", answers(503, { "retry-after": "0" }), "Throttled"],
  ["504", answers(504), "Transient"],
  ["a connection that breaks", { _tag: "Breaks" }, "Transient"],
  ["an answer that is lost", { _tag: "AnswerLost" }, "Transient"],
  ["500 before a byte was taken", { _tag: "Answers", status: 500, early: true }, "Transient"]
]

/** What does not pass: told as it is, and not tried again. */
const lasting: ReadonlyArray<readonly [name: string, status: number, expected: readonly [string, string]]> = [
  ["400", 400, ["Rejected", "Unsupported"]],
  ["401", 401, ["Rejected", "Unauthorized"]],
  ["403", 403, ["Rejected", "Forbidden"]],
  ["405", 405, ["Rejected", "Unsupported"]],
  ["409", 409, ["Conflict", ""]],
  ["412", 412, ["Conflict", ""]],
  ["413", 413, ["Rejected", "TooLarge"]],
  ["501", 501, ["Rejected", "Unsupported"]],
  ["507", 507, ["Rejected", "NoSpace"]],
  ["a redirect", 307, ["Rejected", "Redirected"]]
]

export const faultsContract = <R>(subject: Subject<R>): void => {
  const { http, parts } = subject
  if (http === undefined) return

  const onFresh = <A, E>(
    program: Effect.Effect<A, E, Destination.Destination | Uploader.Uploader | FlakyTransport | R>,
    options: Uploader.Options = {}
  ): Effect.Effect<A, E> => Effect.provide(program, flaky(http, uploaderOptions(subject, options)))

  const small = pattern(1000, 3)
  const partSize = parts?.partSize ?? 1
  const large = pattern(partSize + 1, 4)

  const leftNothing = Effect.gen(function*() {
    assert.deepStrictEqual(yield* subject.list, [])
    if (parts !== undefined) assert.deepStrictEqual(yield* parts.unfinished, [])
  })

  const recovers = (stage: string, bytes: Uint8Array, fault: Fault, tags: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const { met, next } = yield* FlakyTransport
      // Two bytes are enough for parts, if parts are supported.
      const key = "some where/object"
      yield* next(stage, fault)
      const { result, retried } = yield* uploadOne(UploadFile.fromBytes(key, bytes))
      assert.strictEqual(told(result), "Uploaded", result?._tag === "Failed" ? result.error.message : "")
      assert.strictEqual(met(), 1)
      // A part that never arrived may be all that the server would know about the upload, which then starts over.
      assert.deepStrictEqual(retried.filter((error) => error !== "SessionGone"), tags)
      assert.isTrue(sameBytes(yield* subject.readBack(key), bytes))
      if (parts !== undefined) assert.deepStrictEqual(yield* parts.unfinished, [])
    })

  const single = { multipartThreshold: Number.MAX_SAFE_INTEGER }

  describe("answers and failures for an object in one request", () => {
    for (const [name, fault, tag] of passing) {
      it.live(`tries again after ${name}`, () => onFresh(recovers("put", small, fault, [tag]), single))
    }

    for (const status of http.passing ?? []) {
      it.live(`tries again after ${status}`, () =>
        onFresh(recovers("put", small, answers(status), ["Transient"]), single))
    }

    for (const [name, status, usual] of lasting) {
      if (http.passing?.includes(status) === true) continue
      const [tag, reason] = http.means?.[status] ?? usual
      it.live(`gives up after ${name}`, () =>
        onFresh(
          Effect.gen(function*() {
            const { asked, met, next } = yield* FlakyTransport
            yield* next("put", { _tag: "Answers", status, headers: { location: "http://127.0.0.1:1/" } })
            const { result } = yield* uploadOne(UploadFile.fromBytes("object", small))
            assert.strictEqual(told(result), `Failed: ${tag} ${reason}`)
            assert.strictEqual(met(), 1)
            assert.deepStrictEqual(asked().filter((stage) => stage === "put"), ["put"])
            yield* leftNothing
          }),
          single
        ))
    }

    it.live("gives up after all attempts", () =>
      onFresh(
        Effect.gen(function*() {
          const { met, next } = yield* FlakyTransport
          yield* next("put", ...Array.from({ length: 9 }, () => answers(500)))
          const { result, retried } = yield* uploadOne(UploadFile.fromBytes("object", small))
          assert.strictEqual(told(result), "Failed: Transient Unavailable")
          assert.deepStrictEqual([met(), retried.length], [4, 3])
          yield* leftNothing
        }),
        single
      ))

    it.live("hears how long it is to wait", () =>
      onFresh(
        Effect.gen(function*() {
          const { next } = yield* FlakyTransport
          for (const [said, millis] of [["7", 7000], ["99999999999", 86_400_000], ["soon", undefined]] as const) {
            yield* next("put", answers(429, { "retry-after": said }))
            const { result } = yield* uploadOne(UploadFile.fromBytes("object", small))
            assert.isTrue(result?._tag === "Failed" && result.error._tag === "Throttled", said)
            if (result?._tag === "Failed" && result.error._tag === "Throttled") {
              assert.strictEqual(result.error.retryAfterMillis, millis, said)
            }
          }
        }),
        { ...single, retry: RetryPolicy.none }
      ))

    it.live("takes a server that never answers for stalled", () =>
      onFresh(
        Effect.gen(function*() {
          const { met, next } = yield* FlakyTransport
          yield* next("put", { _tag: "Hangs" })
          const { result, retried } = yield* uploadOne(UploadFile.fromBytes("object", small), { stallTimeout: 2000 })
          assert.strictEqual(told(result), "Uploaded")
          assert.deepStrictEqual([met(), ...retried], [1, "Transient"])
        }),
        single
      ))

    it.live("catches a bit that was flipped on the way, where it sends a checksum", () =>
      onFresh(
        Effect.gen(function*() {
          const { capabilities: { checksums = [] } } = yield* Destination.Destination
          if (checksums.length === 0) return
          yield* recovers("put", small, { _tag: "BitFlipped" }, ["IntegrityMismatch"])
        }),
        single
      ))

    if (http.expired !== undefined) {
      const { expired } = http
      it.live("asks for other credentials when those that it has have expired", () =>
        onFresh(recovers("put", small, { _tag: "Answers", ...expired }, []), single))
    }
  })

  if (parts === undefined) return

  describe("answers and failures for parts", () => {
    for (const [name, fault, tag] of passing) {
      it.live(`sends a part again after ${name}`, () =>
        onFresh(recovers("part", large, fault, [tag]), { partConcurrency: 1 }))
    }

    it.live("takes a server that never answers a part for stalled", () =>
      onFresh(
        Effect.gen(function*() {
          const { met, next } = yield* FlakyTransport
          yield* next("part", { _tag: "Hangs" })
          const file = UploadFile.fromBytes("object", large)
          const { result, retried } = yield* uploadOne(file, { stallTimeout: 2000 })
          assert.strictEqual(told(result), "Uploaded", result?._tag === "Failed" ? result.error.message : "")
          assert.deepStrictEqual([met(), ...retried.filter((error) => error !== "SessionGone")], [1, "Transient"])
          assert.isTrue(sameBytes(yield* subject.readBack("object"), large))
          assert.deepStrictEqual(yield* parts.unfinished, [])
        }),
        { partConcurrency: 1 }
      ))

    if (http.expired !== undefined) {
      const { expired } = http
      for (const stage of ["create", "part", "complete"]) {
        it.live(`asks for other credentials when they expire before ${stage}`, () =>
          onFresh(
            Effect.gen(function*() {
              const { met, next } = yield* FlakyTransport
              yield* next(stage, { _tag: "Answers", ...expired })
              const { result } = yield* uploadOne(UploadFile.fromBytes("object", large))
              assert.strictEqual(told(result), "Uploaded", result?._tag === "Failed" ? result.error.message : "")
              assert.strictEqual(met(), 1)
              assert.isTrue(sameBytes(yield* subject.readBack("object"), large))
              assert.deepStrictEqual(yield* parts.unfinished, [])
            }),
            { partConcurrency: 1 }
          ))
      }
    }

    for (const stage of ["create", "complete"]) {
      it.live(`tries again to ${stage}`, () =>
        onFresh(Effect.gen(function*() {
          const { asked, next } = yield* FlakyTransport
          yield* next(stage, answers(503, { "retry-after": "0" }))
          const { result } = yield* uploadOne(UploadFile.fromBytes("object", large))
          assert.strictEqual(told(result), "Uploaded", result?._tag === "Failed" ? result.error.message : "")
          assert.isTrue(sameBytes(yield* subject.readBack("object"), large))
          assert.deepStrictEqual(yield* parts.unfinished, [])
          assert.isAbove(asked().length, 0)
        })))
    }

    for (const stage of ["create", "part"]) {
      for (const status of [403, 413]) {
        it.live(`leaves nothing after ${status} to ${stage}`, () =>
          onFresh(Effect.gen(function*() {
            const { asked, met, next } = yield* FlakyTransport
            yield* next(stage, ...Array.from({ length: 9 }, () => answers(status)))
            const { result } = yield* uploadOne(UploadFile.fromBytes("object", large))
            // Where nothing is asked to create an upload, nothing of that can go wrong.
            if (!asked().includes(stage)) return
            assert.isAbove(met(), 0)
            assert.strictEqual(told(result).slice(0, 16), "Failed: Rejected")
            yield* leftNothing
          })))
      }
    }
  })
}
