import { assert, describe, it } from "@effect/vitest"
import { AdaptiveRate, ByteSource, RetryPolicy, Strategy, UploadError, UploadFile } from "@sluice/core"
import { Clock, Effect, Fiber, Stream } from "effect"
import * as fc from "fast-check"
import * as Recording from "./support/Recording.js"

describe("AdaptiveRate.next", () => {
  const options = { base: 10 }

  it("halves when responses take over 5 s, doubles under 1 s, and stays in between", () => {
    const rates = [0, 999, 1_000, 3_000, 5_000, 5_001, 60_000].map((mean) => AdaptiveRate.next(options, 10, mean))
    assert.deepStrictEqual(rates, [20, 20, 10, 10, 10, 5, 5])
  })

  it("goes no lower than a sixteenth of the base, and no higher than 16 times it", () => {
    const steps = (mean: number) =>
      Array.from({ length: 6 }).reduce<Array<number>>((rates) => [
        ...rates,
        AdaptiveRate.next(options, rates.at(-1)!, mean)
      ], [10])
    assert.deepStrictEqual(steps(6_000), [10, 5, 2.5, 1.25, 0.625, 0.625, 0.625])
    assert.deepStrictEqual(steps(100), [10, 20, 40, 80, 160, 160, 160])
  })

  it("uses the given floor, ceiling and times", () => {
    const own = { base: 10, floor: 8, ceiling: 12, slow: "200 millis", fast: "100 millis" } as const
    assert.deepStrictEqual([50, 100, 200, 201].map((mean) => AdaptiveRate.next(own, 10, mean)), [12, 10, 10, 8])
  })

  it("stays within floor and ceiling, and moves by halves and doubles only", () => {
    const rate = fc.double({ min: 0.001, max: 1_000, noNaN: true })
    fc.assert(
      fc.property(rate, fc.array(fc.nat(10_000), { maxLength: 50 }), (base, means) => {
        const { range } = AdaptiveRate.defaults
        let current = base
        for (const mean of means) {
          const next = AdaptiveRate.next({ base }, current, mean)
          assert.isTrue(next >= base / range && next <= base * range)
          const moved = mean > 5_000
            ? Math.max(base / range, current / 2)
            : mean < 1_000
            ? Math.min(base * range, current * 2)
            : current
          assert.strictEqual(next, moved)
          current = next
        }
      }),
      { numRuns: 1_000 }
    )
  })
})

describe("an adaptive rate", () => {
  const files = Stream.iterate(0, (i) => i + 1).pipe(
    Stream.map((i) => UploadFile.make(`f${i}`, ByteSource.generate(0)))
  )

  /** The rate after each change, with its time, while a network answers as slowly as `answer` says, or refuses. */
  const history = (
    answer: (now: number) => number | UploadError.UploadError,
    strategy: Strategy.Strategy,
    until: number
  ) =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body }) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const answered = answer(now)
          return typeof answered === "number"
            ? Effect.delay(body.bytes, answered)
            : Effect.delay(Effect.fail(answered), 50)
        })
      )
      const rates: Array<readonly [at: number, rate: number]> = []
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy })
        const run = yield* uploader.start(files, { lookahead: 10 })
        const watch = Effect.gen(function*() {
          const { uploadsPerSecond } = yield* run.limits.current
          if (rates.at(-1)?.[1] !== uploadsPerSecond) rates.push([yield* Clock.currentTimeMillis, uploadsPerSecond])
          yield* Effect.sleep(100)
        })
        const fiber = yield* Effect.fork(Effect.forever(watch))
        yield* Effect.sleep(until)
        yield* run.interrupt
        yield* Fiber.interrupt(fiber)
      }))
      return { rates, starts: recording.starts, stored: recording.objects.size }
    })

  /** In the order of their times, from so many milliseconds on, each so many after the one before. */
  const every = (millis: number, from: number, rates: ReadonlyArray<number>) =>
    rates.map((rate, i) => [from + i * millis, rate] as const)

  it.effect("follows a network that is slow, then fast", () =>
    Effect.gen(function*() {
      const { rates, starts } = yield* history(
        (now) => now < 20_000 ? 6_000 : 100,
        Strategy.adaptiveRate({ base: 4 }),
        60_000
      )
      // Looked at every 5 s, where attempts ended since: the first ends at 6 s.
      assert.deepStrictEqual(rates, [
        [0, 4],
        [10_000, 2],
        [15_000, 1],
        [20_000, 0.5],
        // Until 25 s the last slow ones end among the first fast ones: 3.8 s on average.
        [30_000, 1],
        [35_000, 2],
        [40_000, 4],
        [45_000, 8],
        [50_000, 16],
        [55_000, 32]
      ])
      const between = (from: number, to: number) => starts.filter((at) => at >= from && at < to).length
      assert.deepStrictEqual([between(0, 10_000), between(40_000, 45_000), between(50_000, 55_000)], [40, 20, 80])
    }))

  it.effect("alternates between 8 and 16 if more than 10 per second are refused", () =>
    Effect.gen(function*() {
      let second = -1
      let taken = 0
      const answer = (now: number) => {
        if (Math.floor(now / 1_000) !== second) taken = 0
        second = Math.floor(now / 1_000)
        taken += 1
        return taken > 10 ? new UploadError.Throttled({ detail: "" }) : 100
      }
      const { rates, starts, stored } = yield* history(answer, Strategy.adaptiveRate({ base: 4 }), 120_000)
      const toAndFro = Array.from({ length: 11 }, () => [16, 8]).flat()
      assert.deepStrictEqual(rates, [[0, 4], [5_000, 8], ...every(5_000, 10_000, toAndFro)])
      // Of 10 a second; and more than a fifth of all requests were refused.
      assert.strictEqual(stored / 120, 8.75)
      assert.isAbove(1 - stored / starts.length, 0.2)
    }))

  it.effect("swings from a fortieth to three times what a queueing server handles", () =>
    Effect.gen(function*() {
      // One after the other, each for 100 ms.
      let free = 0
      const answer = (now: number) => {
        free = Math.max(free, now) + 100
        return free - now
      }
      const { rates, stored } = yield* history(answer, Strategy.adaptiveRate({ base: 4 }), 294_000)
      const up = [0.5, 1, 2, 4, 8, 16, 32]
      const down = [16, 8, 4, 2, 1, 0.5, 0.25]
      assert.deepStrictEqual(rates, [
        ...every(5_000, 0, [4, 8, 16, 32]),
        ...every(5_000, 25_000, down),
        ...[75_000, 165_000, 255_000].flatMap((from) => [
          ...every(5_000, from, up),
          ...(from < 250_000 ? every(5_000, from + 40_000, down) : [])
        ])
      ])
      // Of 10 a second.
      assert.isTrue(stored / 294 > 7 && stored / 294 < 7.5, `${stored / 294}`)
    }))

  it.effect("does not change if nothing ends", () =>
    Effect.gen(function*() {
      const { rates } = yield* history(() => 86_400_000, Strategy.adaptiveRate({ base: 4 }), 29_000)
      assert.deepStrictEqual(rates, [[0, 4]])
    }))

  it.effect("never loosens a limit that it is stacked with", () =>
    Effect.gen(function*() {
      const strategy = Strategy.stack(
        Strategy.rateLimited({ uploadsPerSecond: 5 }),
        Strategy.adaptiveRate({ base: 2 }),
        Strategy.workerPool({ workers: 8 })
      )
      const { rates } = yield* history(() => 100, strategy, 30_000)
      assert.deepStrictEqual(rates, [[0, 2], [5_000, 4], [10_000, 5]])
    }))

  it.effect("starts within its own floor and ceiling", () =>
    Effect.gen(function*() {
      const { rates } = yield* history(() => 100, Strategy.adaptiveRate({ base: 10, ceiling: 6 }), 6_000)
      assert.isAtMost(Math.max(...rates.map(([, rate]) => rate)), 6)
    }))

  it.effect("halves when the destination throttles, ignores failures, and samples at the given interval", () =>
    Effect.gen(function*() {
      const fails = (now: number) =>
        now < 2_000
          ? new UploadError.Conflict({ detail: "" })
          : now < 4_000
          ? new UploadError.Throttled({ detail: "" })
          : undefined
      const recording = Recording.make(({ body }) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const error = fails(now)
          return Effect.zipRight(Effect.sleep(50), error === undefined ? body.bytes : Effect.fail(error))
        })
      )
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, {
          strategy: Strategy.adaptiveRate({ base: 8, interval: "1 second" }),
          retry: RetryPolicy.none
        })
        const run = yield* uploader.start(files)
        const rates: Array<number> = []
        for (let second = 0; second < 6; second++) {
          yield* Effect.sleep(second === 0 ? 1_500 : 1_000)
          rates.push((yield* run.limits.current).uploadsPerSecond)
        }
        yield* run.interrupt
        return rates
      }))
      // At 4 s the throttled ones of the second before are seen still.
      assert.deepStrictEqual(value, [8, 8, 4, 2, 4, 8])
    }))
})
