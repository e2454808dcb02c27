import { assert, describe, it } from "@effect/vitest"
import { UploadError } from "@sluice/core"
import type * as S3 from "@sluice/core/destinations/S3"
import { Deferred, Effect, Either, Fiber, Redacted, TestClock } from "effect"
import { credentials, error, failure, upload, using } from "../../../support/S3Answers.js"

const keyIdOf = (headers: Readonly<Record<string, string>>) =>
  /Credential=(\w+)/.exec(headers["authorization"] ?? "")?.[1]

const counted = (more: (asked: number) => Partial<S3.Credentials> = () => ({})) => {
  const asked = { times: 0 }
  return {
    asked,
    credentials: Effect.sync((): S3.Credentials => {
      asked.times += 1
      return { ...credentials, accessKeyId: `KEY${asked.times}`, ...more(asked.times) }
    })
  }
}

describe("credentials", () => {
  it.effect("are requested once, however many requests wait for them", () =>
    Effect.gen(function*() {
      const given = yield* Deferred.make<S3.Credentials>()
      let asked = 0
      const asking = Effect.suspend(() => {
        asked += 1
        return Deferred.await(given)
      })
      const { seen } = yield* using(() => ({ status: 404 }), (destination) =>
        Effect.gen(function*() {
          const all = yield* Effect.fork(Effect.all(
            Array.from({ length: 10 }, (_, i) => destination.head!(`k${i}`)),
            { concurrency: "unbounded" }
          ))
          // All of them have begun.
          yield* Effect.repeatN(Effect.yieldNow(), 100)
          yield* Deferred.succeed(given, credentials)
          yield* Fiber.join(all)
        }), { credentials: asking })
      assert.deepStrictEqual([asked, seen.length], [1, 10])
    }))

  it.effect("are waited for a minute, by all together, whoever gives them", () =>
    Effect.gen(function*() {
      for (const never of [Effect.never, Effect.uninterruptible(Effect.never)]) {
        let asked = 0
        const asking = Effect.suspend(() => {
          asked += 1
          return never
        })
        yield* using(() => ({ status: 404 }), (destination) =>
          Effect.gen(function*() {
            const looks = Array.from({ length: 3 }, (_, i) => Effect.either(destination.head!(`k${i}`)))
            const all = yield* Effect.fork(Effect.all(looks, { concurrency: "unbounded" }))
            yield* TestClock.adjust(60_000)
            const told = (yield* Fiber.join(all)).map(Either.match({
              onLeft: (error) => `${error._tag}: ${error.message}`,
              onRight: () => "found"
            }))
            const late = "Transient: The credentials have not arrived for a minute, and may still arrive."
            assert.deepStrictEqual(told, Array(3).fill(late))
          }), { credentials: asking })
        assert.strictEqual(asked, 1)
      }
    }))

  it.effect("that take longer than a minute are available for the next request", () =>
    Effect.gen(function*() {
      let asked = 0
      const asking = Effect.suspend(() => {
        asked += 1
        return Effect.as(Effect.sleep("70 seconds"), credentials)
      })
      const { result } = yield* using(() => ({ status: 404 }), (destination) =>
        Effect.gen(function*() {
          const first = yield* Effect.fork(Effect.flip(destination.head!("a")))
          yield* TestClock.adjust("60 seconds")
          assert.strictEqual((yield* Fiber.join(first))._tag, "Transient")
          const second = yield* Effect.fork(destination.head!("b"))
          yield* TestClock.adjust("10 seconds")
          yield* Fiber.join(second)
        }), { credentials: asking })
      assert.deepStrictEqual([result._tag, asked], ["Right", 1])
    }))

  it.effect("are still awaited while anything waits for them, and are requested again otherwise", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const given = yield* Deferred.make<S3.Credentials>()
      let asked = 0
      let cut = 0
      const asking = Effect.suspend(() => {
        asked += 1
        return Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(given)).pipe(
          Effect.onInterrupt(() => Effect.sync(() => cut += 1))
        )
      })
      const { result } = yield* using(() => ({ status: 404 }), (destination) =>
        Effect.gen(function*() {
          const alone = yield* Effect.fork(destination.head!("alone"))
          yield* Deferred.await(started)
          yield* Fiber.interrupt(alone)
          yield* Effect.repeatN(Effect.yieldNow(), 100)
          assert.deepStrictEqual([asked, cut], [1, 1])
          const first = yield* Effect.fork(destination.head!("a"))
          const second = yield* Effect.fork(destination.head!("b"))
          yield* Effect.repeatN(Effect.yieldNow(), 100)
          yield* Fiber.interrupt(first)
          yield* Deferred.succeed(given, credentials)
          yield* Fiber.join(second)
        }), { credentials: asking })
      assert.deepStrictEqual([result._tag, asked, cut], ["Right", 2, 1])
    }))

  it.effect("that expire are replaced a minute before, without a request that fails", () =>
    Effect.gen(function*() {
      const { asked, credentials } = counted((times) => ({ expiresAt: times * 600_000 }))
      const { seen } = yield* using(() => ({ status: 404 }), ({ head }) =>
        Effect.gen(function*() {
          yield* head!("a")
          yield* TestClock.adjust("539 seconds")
          yield* head!("b")
          yield* TestClock.adjust("1 second")
          yield* head!("c")
        }), { credentials })
      assert.deepStrictEqual(seen.map(({ headers }) => keyIdOf(headers)), ["KEY1", "KEY1", "KEY2"])
      assert.strictEqual(asked.times, 2)
    }))

  it.effect("are not requested again if the new ones are the same as the old", () =>
    Effect.gen(function*() {
      const { asked, credentials } = counted()
      const tried = yield* upload(() => ({ status: 400, body: error("ExpiredToken") }), { credentials })
      assert.deepStrictEqual([failure(tried), asked.times, tried.seen.length], ["AuthExpired", 2, 2])
    }))

  it.effect("that expire again after hours of work are replaced again", () =>
    Effect.gen(function*() {
      const { asked, credentials } = counted()
      const { result } = yield* using(
        (_, index) => index % 2 === 1 ? { status: 400, body: error("ExpiredToken") } : {},
        ({ remove }) => Effect.zipRight(remove!("a"), remove!("b")),
        { credentials }
      )
      assert.deepStrictEqual([result._tag, asked.times], ["Right", 3])
    }))

  it.effect("that are unavailable are requested once, for all that wait and for those that come later", () =>
    Effect.gen(function*() {
      const refusals = [
        new UploadError.Rejected({ reason: "Unauthorized", detail: "There are no credentials." }),
        new UploadError.AuthExpired({ detail: "The session has expired." })
      ]
      for (const refusal of refusals) {
        let asked = 0
        const asking = Effect.suspend(() => {
          asked += 1
          return Effect.zipRight(Effect.yieldNow(), Effect.fail(refusal))
        })
        const { seen } = yield* using(() => ({ status: 404 }), ({ head }) =>
          Effect.gen(function*() {
            const looks = Array.from({ length: 10 }, (_, i) => Effect.flip(head!(`k${i}`)))
            const all = yield* Effect.all([...looks, ...looks], { concurrency: 4 })
            assert.isTrue(all.every((error) => error === refusal))
            assert.strictEqual(asked, 1)
            yield* TestClock.adjust(29_999)
            yield* Effect.flip(head!("soon"))
            assert.strictEqual(asked, 1)
            yield* TestClock.adjust(1)
            yield* Effect.flip(head!("later"))
            assert.strictEqual(asked, 2)
          }), { credentials: asking })
        assert.strictEqual(seen.length, 0)
      }
    }))

  it.effect("that are temporarily unavailable are requested again, once for all that wait", () =>
    Effect.gen(function*() {
      let asked = 0
      const asking = Effect.suspend(() => {
        asked += 1
        return Effect.zipRight(
          Effect.yieldNow(),
          asked === 1
            ? Effect.fail(new UploadError.Transient({ reason: "Unavailable", detail: "Not yet." }))
            : Effect.succeed(credentials)
        )
      })
      const { result } = yield* using(() => ({ status: 404 }), ({ head }) =>
        Effect.gen(function*() {
          const looks = Array.from({ length: 8 }, (_, i) => Effect.flip(head!(`k${i}`)))
          yield* Effect.all(looks, { concurrency: "unbounded" })
          assert.strictEqual(asked, 1)
          yield* head!("k")
        }), { credentials: asking })
      assert.deepStrictEqual([result._tag, asked], ["Right", 2])
    }))

  it.effect("that cannot be had are the reason of the failure", () =>
    Effect.gen(function*() {
      const none = new UploadError.Rejected({ reason: "Unauthorized", detail: "There are no credentials." })
      assert.strictEqual(
        failure(yield* upload(() => ({}), { credentials: Effect.fail(none) })),
        "Rejected Unauthorized"
      )
    }))

  it.effect("do not appear in a failure's message, even if the server repeats what it was sent", () =>
    Effect.gen(function*() {
      const sessionToken = Redacted.make("canary-session-token")
      const tried = yield* upload(
        ({ headers }) => ({
          status: 403,
          body: error("AccessDenied", `<Message>${Object.values(headers).join(" ")}</Message>`)
        }),
        { credentials: Effect.succeed({ ...credentials, sessionToken }) }
      )
      assert.strictEqual(failure(tried), "Rejected Forbidden")
      const said = JSON.stringify(tried.result)
      const signature = /Signature=(\w+)/.exec(tried.seen[0]?.headers["authorization"] ?? "")?.[1]
      assert.isDefined(signature)
      assert.include(said, "<redacted>")
      for (const secret of ["canary-session-token", signature ?? "", Redacted.value(credentials.secretAccessKey)]) {
        assert.notInclude(said, secret)
      }
    }))
})
