import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, UploadError, UploadEvent, UploadFile } from "@sluice/core"
import { Duration, Effect, Option, Random, Schedule, Schema } from "effect"
import * as fc from "fast-check"
import * as Retries from "../src/internal/upload/retries.js"
import * as Property from "./support/Property.js"
import * as Recording from "./support/Recording.js"

const broken = new UploadError.Transient({ reason: "Connection", detail: "" })

const throttled = (retryAfterMillis?: number) =>
  new UploadError.Throttled({ detail: "", ...(retryAfterMillis !== undefined && { retryAfterMillis }) })

/** The delays that a policy gives for failures one after the other, until one is final. */
const delays = (
  policy: RetryPolicy.RetryPolicy,
  errors: Iterable<UploadError.UploadError>,
  startedAt = 1_760_000_000_000
): Effect.Effect<Array<number>> =>
  Effect.gen(function*() {
    const driver = Retries.start(policy)
    const delays: Array<number> = []
    let now = startedAt
    for (const error of errors) {
      const delay = yield* driver.next(now, error)
      if (Option.isNone(delay)) return delays
      delays.push(delay.value)
      now += delay.value + 17
    }
    return delays
  })

const times = <A>(count: number, value: A): Array<A> => Array.from({ length: count }, () => value)

describe("RetryPolicy.make", () => {
  it.effect("doubles from 100 ms, in five attempts", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({ jitter: "none" })
      assert.strictEqual(policy.attempts, 5)
      assert.deepStrictEqual(yield* delays(policy, times(9, broken)), [100, 200, 400, 800])
    }))

  it.effect("doubles from 1 s when throttled, and each failure counts for itself", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({ jitter: "none", attempts: 7 })
      assert.deepStrictEqual(yield* delays(policy, times(9, throttled())), [1_000, 2_000, 4_000, 8_000, 16_000, 20_000])
      assert.deepStrictEqual(
        yield* delays(policy, [broken, throttled(), broken, throttled(5), broken, throttled()]),
        [100, 2_000, 400, 5, 1_600, 20_000]
      )
    }))

  it.effect("waits 20 s at most, however many attempts there are", () =>
    Effect.gen(function*() {
      const all = yield* delays(RetryPolicy.make({ jitter: "none", attempts: 1_000 }), times(3_000, broken))
      assert.strictEqual(all.length, 999)
      assert.deepStrictEqual(all.slice(6, 10), [6_400, 12_800, 20_000, 20_000])
      assert.isTrue(all.slice(8).every((delay) => delay === 20_000))
    }))

  it.effect("does not mind more attempts than there are powers of two", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({ jitter: "none", attempts: 1_100, base: 0 })
      const all = yield* delays(policy, times(1_200, broken))
      assert.deepStrictEqual([all.length, Math.max(...all)], [1_099, 0])
    }))

  it.effect("takes its own base, cap and attempts", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({
        jitter: "none",
        attempts: 6,
        base: "1 second",
        throttledBase: "3 seconds",
        cap: "5 seconds"
      })
      assert.deepStrictEqual(yield* delays(policy, times(9, broken)), [1_000, 2_000, 4_000, 5_000, 5_000])
      assert.deepStrictEqual(yield* delays(policy, times(9, throttled())), [3_000, 5_000, 5_000, 5_000, 5_000])
      assert.deepStrictEqual(yield* delays(RetryPolicy.make({ attempts: 1 }), [broken]), [])
      assert.strictEqual(RetryPolicy.make({ attempts: 1.5 }).attempts, 1)
      assert.deepStrictEqual(yield* delays(RetryPolicy.make({ base: 0 }), times(9, broken)), [0, 0, 0, 0])
    }))

  it.effect("waits a random part of the backoff: exact for fixed randomness", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({ attempts: 6 })
      const all = yield* delays(policy, times(9, broken)).pipe(
        Effect.withRandom(Random.fixed([0, 0.5, 0.999, 0.25, 1]))
      )
      assert.deepStrictEqual(all, [0, 100, 400, 200, 1_600])
    }))

  it.effect("waits between none and all of the backoff, whatever the randomness", () =>
    Property.check(
      fc.record({
        seed: fc.integer(),
        base: fc.integer({ min: 1, max: 5_000 }),
        cap: fc.integer({ min: 1, max: 60_000 }),
        errors: fc.array(fc.boolean(), { minLength: 1, maxLength: 20 })
      }),
      ({ base, cap, errors, seed }) =>
        Effect.gen(function*() {
          const options = { attempts: 21, base, throttledBase: base * 3, cap }
          const failures = errors.map((isThrottled) => isThrottled ? throttled() : broken)
          const nominal = yield* delays(RetryPolicy.make({ ...options, jitter: "none" }), failures)
          const jittered = yield* delays(RetryPolicy.make(options), failures).pipe(
            Effect.withRandom(Random.make(seed))
          )
          assert.strictEqual(jittered.length, errors.length)
          assert.deepStrictEqual(
            nominal,
            errors.map((isThrottled, i) => Math.min(cap, base * (isThrottled ? 3 : 1) * 2 ** i))
          )
          assert.isTrue(jittered.every((delay, i) => delay >= 0 && delay <= nominal[i]!))
        }),
      1_000
    ))

  it.effect("spreads evenly over the backoff", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({ base: 1_000 })
      const firsts = yield* Effect.forEach(times(2_000, broken), (error) => delays(policy, [error])).pipe(
        Effect.withRandom(Random.make("jitter"))
      )
      const quarters = [0, 0, 0, 0]
      for (const [delay] of firsts) quarters[Math.min(3, Math.floor(delay! / 250))]! += 1
      assert.isTrue(quarters.every((count) => Math.abs(count - 500) < 100), `${quarters}`)
    }))

  it.effect("waits exactly as long as the destination asks, up to the cap, without jitter", () =>
    Effect.gen(function*() {
      const asked = [0, 1, 1_234, 60_000, 60_001, 86_400_000].map((millis) => throttled(millis))
      assert.deepStrictEqual(
        yield* delays(RetryPolicy.make({ attempts: 9 }), asked),
        [0, 1, 1_234, 60_000, 60_000, 60_000]
      )
      assert.deepStrictEqual(
        yield* delays(RetryPolicy.make({ attempts: 9, retryAfterCap: "2 minutes" }), asked.slice(3)),
        [60_000, 60_001, 120_000]
      )
      assert.deepStrictEqual(
        yield* delays(RetryPolicy.make({ jitter: "none" }), [throttled(-5), throttled(Number.NaN)]),
        [1_000, 2_000]
      )
    }))

  it.effect("does not retry errors that would recur", () =>
    Effect.gen(function*() {
      const final = [
        new UploadError.AuthExpired({ detail: "" }),
        new UploadError.Conflict({ detail: "" }),
        new UploadError.Rejected({ reason: "NoSpace", detail: "" }),
        new UploadError.SourceChanged({ reason: "Grew", detail: "" }),
        new UploadError.SourceUnreadable({ reason: "NotFound", detail: "" })
      ]
      for (const error of final) {
        assert.deepStrictEqual(yield* delays(RetryPolicy.make(), [error]), [])
        assert.deepStrictEqual(yield* delays(RetryPolicy.make({ jitter: "none" }), [broken, error, broken]), [100])
      }
      const damaged = new UploadError.IntegrityMismatch({ reason: "Checksum", detail: "" })
      assert.deepStrictEqual(yield* delays(RetryPolicy.make({ jitter: "none" }), [damaged]), [100])
    }))

  it("describes its defaults", () => {
    const { budget, schedule: _, ...policy } = RetryPolicy.make()
    assert.deepStrictEqual(policy, { attempts: 5, secondRound: true, outage: Duration.minutes(5) })
    assert.deepStrictEqual(budget, { tokens: 500, retryCost: 5, successRefund: 1 })
    assert.deepStrictEqual(RetryPolicy.make({ budget: false, secondRound: false }).budget, undefined)
    assert.deepStrictEqual(
      [RetryPolicy.defaults.base, RetryPolicy.defaults.throttledBase, RetryPolicy.defaults.cap],
      ["100 millis", "1 second", "20 seconds"]
    )
  })
})

describe("a schedule of one's own", () => {
  const policy = (schedule: Schedule.Schedule<unknown, UploadError.UploadError>, attempts = 10) => ({
    ...RetryPolicy.make(),
    attempts,
    schedule
  })

  it.effect("decides whether and when", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* delays(policy(Schedule.recurs(3)), times(9, broken)), [0, 0, 0])
      assert.deepStrictEqual(yield* delays(policy(Schedule.spaced("2 seconds"), 4), times(9, broken)), times(3, 2_000))
      assert.deepStrictEqual(yield* delays(policy(Schedule.stop), times(9, broken)), [])
      assert.deepStrictEqual(
        yield* delays(policy(Schedule.fibonacci("10 millis"), 7), times(9, broken)),
        [10, 10, 20, 30, 50, 80]
      )
      const patient = Schedule.recurWhile((error: UploadError.UploadError) => error._tag === "Throttled").pipe(
        Schedule.addDelay(() => Duration.minutes(1))
      )
      assert.deepStrictEqual(yield* delays(policy(patient), [throttled(), throttled(), broken]), [60_000, 60_000])
    }))
})

describe("RetryPolicy.none", () => {
  it.effect("tries nothing again", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* delays(RetryPolicy.none, [broken]), [])
      assert.deepStrictEqual([RetryPolicy.none.attempts, RetryPolicy.none.secondRound], [1, false])
    }))
})

describe("RetryPolicy.fromSchedule", () => {
  const fibonacci = Schedule.fibonacci("100 millis")

  it.effect("waits as its schedule does, and ends with it", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.fromSchedule(Schedule.intersect(fibonacci, Schedule.recurs(5)))
      assert.deepStrictEqual(yield* delays(policy, times(9, broken)), [100, 100, 200, 300, 500])
      // 17 ms pass with each attempt.
      const brief = RetryPolicy.fromSchedule(Schedule.spaced("1 second").pipe(Schedule.upTo("3 seconds")))
      assert.deepStrictEqual(yield* delays(brief, times(9, broken)), [1_000, 1_000, 1_000])
      assert.deepStrictEqual(yield* delays(RetryPolicy.fromSchedule(Schedule.stop), [broken]), [])
      const bounded = RetryPolicy.fromSchedule(fibonacci, { attempts: 3 })
      assert.deepStrictEqual(yield* delays(bounded, times(9, broken)), [100, 100])
      assert.strictEqual(
        (yield* delays(RetryPolicy.fromSchedule(Schedule.forever), times(2_000, broken))).length,
        2_000
      )
    }))

  it.effect("has the jitter of its schedule, from Random", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.fromSchedule(Schedule.jittered(Schedule.spaced("1 second")))
      const all = yield* delays(policy, times(3, broken)).pipe(Effect.withRandom(Random.fixed([0, 0.5, 1])))
      assert.deepStrictEqual(all, [800, 1_000, 1_200])
    }))

  it.effect("waits for as long as the destination asks instead, up to its cap", () =>
    Effect.gen(function*() {
      const errors = [broken, throttled(), throttled(5), throttled(7_000), throttled(90_000), broken]
      assert.deepStrictEqual(
        yield* delays(RetryPolicy.fromSchedule(fibonacci), errors),
        [100, 100, 5, 7_000, 60_000, 800]
      )
      assert.deepStrictEqual(
        yield* delays(RetryPolicy.fromSchedule(fibonacci, { retryAfterCap: "2 seconds" }), errors),
        [100, 100, 5, 2_000, 2_000, 800]
      )
    }))

  it.effect("shows its schedule each failure, but never retries what would recur", () =>
    Effect.gen(function*() {
      const seen: Array<UploadError.UploadError> = []
      const policy = RetryPolicy.fromSchedule(
        Schedule.recurs(9).pipe(
          Schedule.tapInput((error: UploadError.UploadError) => Effect.sync(() => seen.push(error)))
        )
      )
      const rejected = new UploadError.Rejected({ reason: "Forbidden", detail: "" })
      const failures = [broken, throttled(), rejected, broken]
      assert.deepStrictEqual(yield* delays(policy, failures), [0, 0])
      assert.deepStrictEqual(seen, failures.slice(0, 2))
      const gentle = RetryPolicy.fromSchedule(
        Schedule.recurWhile((error: UploadError.UploadError) => error._tag === "Throttled")
      )
      assert.deepStrictEqual(yield* delays(gentle, failures), [])
      assert.deepStrictEqual(yield* delays(gentle, failures.slice(1)), [0])
    }))

  it("has the other rules of make, with the same defaults", () => {
    const { budget, outage, secondRound } = RetryPolicy.make()
    const policy = RetryPolicy.fromSchedule(Schedule.forever)
    assert.deepStrictEqual([policy.budget, policy.outage, policy.secondRound], [budget, outage, secondRound])
    assert.strictEqual(policy.attempts, Infinity)
    const own = RetryPolicy.fromSchedule(Schedule.forever, { budget: false, outage: 0, secondRound: false })
    assert.deepStrictEqual([own.budget, own.outage, own.secondRound], [undefined, Duration.zero, false])
    assert.throws(() => RetryPolicy.fromSchedule(Schedule.forever, { attempts: 0 }), /^attempts takes/)
    assert.throws(() => RetryPolicy.fromSchedule(Schedule.forever, { retryAfterCap: -1 }), /^retryAfterCap takes/)
  })

  it.effect("tells of retries without a limit, and such events can be written as JSON", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body }) => attempt < 8 ? Effect.fail(broken) : body.bytes)
      const { events, report } = yield* Recording.uploadAll(recording, [UploadFile.fromText("a", "x")], {
        retry: RetryPolicy.fromSchedule(Schedule.spaced("1 second"))
      })
      assert.deepStrictEqual([report.files.uploaded, report.attempts, report.durationMillis], [1, 8, 7_000])
      const retries = events.filter(({ _tag }) => _tag === "UploadRetrying")
      assert.deepStrictEqual(retries.map((event) => "attempts" in event), Array.from({ length: 7 }, () => false))
      const json = Schema.parseJson(Schema.Array(UploadEvent.UploadEvent))
      assert.deepStrictEqual(yield* Schema.decode(json)(yield* Schema.encode(json)(retries)), retries)
    }))
})
