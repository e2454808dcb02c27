import { assert, describe, it, vi } from "@effect/vitest"
import { ByteSource, RetryPolicy, UploadError, UploadFile } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import { Deferred, Effect, Fiber, Redacted, TestClock } from "effect"
import { errorName } from "../support/ErrorName.js"
import { advanceUntil, after, answering, failure, small, to } from "../support/HttpUploads.js"
import { serve } from "../support/PutServer.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

describe("Http", () => {
  describe("answers", () => {
    const table: ReadonlyArray<readonly [expected: string, statuses: ReadonlyArray<number>]> = [
      ["Uploaded", [200, 201, 202, 204, 207]],
      ["Rejected Redirected", [300, 301, 302, 303, 304, 305, 307, 308]],
      ["Rejected Unauthorized", [401]],
      ["Rejected Forbidden", [402, 403]],
      ["Rejected NotFound", [404, 410]],
      ["Rejected TooLarge", [413]],
      ["Rejected NoSpace", [507]],
      ["Rejected Unsupported", [400, 405, 406, 411, 414, 415, 421, 422, 431, 451, 501]],
      ["Conflict", [409, 412]],
      ["Throttled", [429]],
      ["Transient Unavailable", [408, 423, 425, 499, 500, 502, 503, 504, 508, 520, 529, 599]]
    ]

    it.scopedLive("are told by their class", () =>
      Effect.gen(function*() {
        const { url } = yield* serve(
          // Of the directory nothing is to be seen.
          after((request, response) => response.writeHead(Number(request.url!.slice(1)) || 404).end())
        )
        const uploader = yield* to({ url })
        for (const [expected, statuses] of table) {
          for (const status of statuses) {
            const outcome = yield* Effect.match(uploader.upload(UploadFile.fromText(String(status), "x")), {
              onSuccess: ({ _tag }) => _tag,
              onFailure: (error) => {
                assert.include(error.message, `answered ${status}`)
                return errorName(error)
              }
            })
            assert.strictEqual(outcome, expected, String(status))
          }
        }
      }))

    it.scopedLive("are quoted in short, on one line, without markup or control characters", () =>
      Effect.gen(function*() {
        const text = `<html><body><h1>No\r\n\tway</h1>\u001b[31m${"x".repeat(5000)}</body></html>`
        const { url } = yield* serve(answering(400, {}, text))
        const { message } = yield* failure({ url }, small)
        assert.match(message, /^http:\/\/127\.0\.0\.1:\d+ answered 400: No way \[31mx+$/)
        assert.isBelow(message.length, 600)
      }))

    const waits: ReadonlyArray<readonly [header: string, millis: number | undefined]> = [
      ["0", 0],
      ["7", 7_000],
      [" 7 ", 7_000],
      ["1.5", 1_500],
      ["86400", 86_400_000],
      [new Date(90_000).toUTCString(), 30_000],
      [new Date(60_000).toUTCString(), 0],
      [new Date(59_000).toUTCString(), undefined],
      [new Date(60_000 + 86_400_000).toUTCString(), 86_400_000],
      ["Thursday, 01-Jan-70 00:01:30 GMT", 30_000],
      ["1970-01-01T00:01:30Z", 30_000],
      ["Fri, 31 Dec 9999 23:59:59 GMT", 86_400_000],
      ["86401", 86_400_000],
      ["99999999999", 86_400_000],
      ["9".repeat(400), 86_400_000],
      ["99999999999.5", 86_400_000],
      ["-5", undefined],
      ["-1.5", undefined],
      [".5", undefined],
      ["+5", undefined],
      ["7s", undefined],
      ["in 2040", undefined],
      ["12 hours", undefined],
      ["2040", 2_040_000],
      ["soon", undefined],
      ["NaN", undefined],
      ["Infinity", undefined],
      ["1e1", undefined],
      ["0x10", undefined],
      ["5, 6", undefined],
      ["", undefined]
    ]

    /** What passes where the server says when, and what it is otherwise. */
    const mayPass = [
      [403, "Rejected Forbidden"],
      [408, "Transient Unavailable"],
      [409, "Conflict"],
      [413, "Rejected TooLarge"],
      [423, "Transient Unavailable"],
      [425, "Transient Unavailable"],
      [500, "Transient Unavailable"],
      [502, "Transient Unavailable"],
      [503, "Transient Unavailable"]
    ] as const

    it.scoped("say how long to wait, by seconds or by a date; nonsense is not listened to", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(60_000)
        const { url } = yield* serve(after((request, response) => {
          const [status, index] = request.url!.slice(1).split("-")
          response.writeHead(Number(status) || 404, { "retry-after": waits[Number(index)]?.[0] ?? "" }).end()
        }))
        const uploader = yield* to({ url })
        for (const [i, [header, millis]] of waits.entries()) {
          const throttled = yield* Effect.flip(uploader.upload(UploadFile.fromText(`429-${i}`, "x")))
          assert.instanceOf(throttled, UploadError.Throttled)
          assert.strictEqual(throttled.retryAfterMillis, millis, header)
          for (const [status, without] of mayPass) {
            const refused = yield* Effect.flip(uploader.upload(UploadFile.fromText(`${status}-${i}`, "x")))
            const expected = millis === undefined ? without : "Throttled"
            assert.strictEqual(errorName(refused), expected, `${status} with ${header}`)
            if (refused._tag === "Throttled") assert.strictEqual(refused.retryAfterMillis, millis)
          }
          for (const [status, expected] of [[401, "Rejected Unauthorized"], [501, "Rejected Unsupported"]] as const) {
            const refused = yield* Effect.flip(uploader.upload(UploadFile.fromText(`${status}-${i}`, "x")))
            assert.strictEqual(errorName(refused), expected, `${status} with ${header}`)
          }
        }
      }))

    it.scoped("of a day and more are waited for as long as the policy allows", () =>
      Effect.gen(function*() {
        for (const header of ["86400", "99999999999", "9".repeat(400), "Fri, 31 Dec 9999 23:59:59 GMT"]) {
          let requests = 0
          const { url } = yield* serve(after((_request, response) => {
            requests += 1
            response.writeHead(requests === 1 ? 503 : 201, { "retry-after": header }).end()
          }))
          const retrying = yield* Deferred.make<number>()
          const uploader = yield* to({ url }, { retry: RetryPolicy.make() })
          const fiber = yield* Effect.fork(uploader.uploadAll([small], {
            onEvent: (event) =>
              event._tag === "UploadRetrying"
                ? Effect.asVoid(Deferred.succeed(retrying, event.delayMillis))
                : Effect.void
          }))
          assert.strictEqual(yield* Deferred.await(retrying), 60_000, header)
          yield* Fiber.interrupt(fiber)
        }
      }))

    it.scoped("are waited for by the engine, exactly as long", () =>
      Effect.gen(function*() {
        let requests = 0
        const { url } = yield* serve(after((_request, response) => {
          requests += 1
          response.writeHead(requests === 1 ? 503 : 201, { "retry-after": "7" }).end()
        }))
        const retrying = yield* Deferred.make<number>()
        const uploader = yield* to({ url }, { retry: RetryPolicy.make() })
        const fiber = yield* Effect.fork(uploader.uploadAll([small], {
          onEvent: (event) =>
            event._tag === "UploadRetrying" ? Effect.asVoid(Deferred.succeed(retrying, event.delayMillis)) : Effect.void
        }))
        assert.strictEqual(yield* Deferred.await(retrying), 7_000)
        yield* TestClock.adjust("6999 millis")
        assert.strictEqual(requests, 1)
        yield* TestClock.adjust("1 millis")
        const report = yield* Fiber.join(fiber)
        assert.strictEqual(report.files.uploaded, 1)
        assert.strictEqual(requests, 2)
        assert.strictEqual(report.durationMillis, 7_000)
      }))

    it.scopedLive("that never end are read no further than they are shown", () =>
      Effect.gen(function*() {
        let sent = 0
        const { idle, url } = yield* serve(after((_request, response) => {
          const block = Buffer.alloc(64 * kib, "x")
          response.writeHead(400, { "content-length": 1024 * mib })
          const more = () => {
            while (!response.destroyed && sent < 1024 * mib) {
              sent += block.length
              if (!response.write(block)) return
            }
          }
          response.on("drain", more)
          more()
        }))
        const error = yield* failure({ url }, small)
        assert.strictEqual(errorName(error), "Rejected Unsupported")
        assert.isBelow(error.message.length, 600)
        yield* idle
        assert.isBelow(sent, 64 * mib)
      }))

    it.scoped("that drip are not waited for longer than a second", () =>
      Effect.gen(function*() {
        const { idle, url } = yield* serve(after((_request, response) => {
          response.writeHead(500)
          response.write("drip")
        }))
        const uploader = yield* to({ url })
        const fiber = yield* Effect.fork(Effect.flip(uploader.upload(small)))
        yield* advanceUntil(fiber, "100 millis")
        assert.strictEqual(errorName(yield* Fiber.join(fiber)), "Transient Unavailable")
        yield* idle
      }))
  })

  describe("redirects", () => {
    it.scopedLive("are refused, and nobody else is sent anything", () =>
      Effect.gen(function*() {
        const elsewhere = yield* serve(answering(201))
        let requests = 0
        const { url } = yield* serve(after((request, response) => {
          requests += 1
          const [status, where] = request.url!.slice(1).split("-")
          const location = where === "other" ? `${elsewhere.url}/x` : where === "same" ? "/other-place" : ""
          response.writeHead(Number(status), { location }).end()
        }))
        const uploader = yield* to({ url, credentials: Http.bearer(Redacted.make("t0ken")) })
        const keys = [301, 302, 303, 307, 308].flatMap((status) => [`${status}-other`, `${status}-same`, `${status}-`])
        for (const key of keys) {
          for (const bytes of [10, 2 * mib]) {
            const error = yield* Effect.flip(uploader.upload(UploadFile.make(key, ByteSource.generate(bytes))))
            assert.strictEqual(errorName(error), "Rejected Redirected", key)
          }
        }
        assert.strictEqual(requests, keys.length * 2)
        assert.strictEqual(elsewhere.connections(), 0)
      }))
  })
})
