import { assert, describe, it } from "@effect/vitest"
import { UploadFile } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import {
  Cause,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  FiberId,
  Queue,
  Random,
  Schedule,
  TestServices
} from "effect"
import * as fc from "fast-check"
import * as Property from "../support/Property.js"
import * as Recording from "../support/Recording.js"

/** A history that entries are written to with their time. */
const journal = () => {
  const entries: Array<readonly [at: number, what: string]> = []
  const note = (what: string) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      entries.push([now, what])
    })
  return { entries, note }
}

describe("VirtualClock.run", () => {
  it.effect("takes no time if nothing waits", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* VirtualClock.run(Effect.succeed(1)), { value: 1, millis: 0 })
      assert.deepStrictEqual(yield* VirtualClock.run(Effect.as(Effect.yieldNow(), 1)), { value: 1, millis: 0 })
    }))

  it.effect("starts at 0 and jumps from wake-up to wake-up", () =>
    Effect.gen(function*() {
      const { value, millis } = yield* VirtualClock.run(Effect.gen(function*() {
        const clock = yield* Effect.clock
        const seen = [yield* Clock.currentTimeMillis]
        yield* Effect.sleep("1 hour")
        seen.push(yield* Clock.currentTimeMillis, clock.unsafeCurrentTimeMillis())
        yield* Effect.sleep("365 days")
        assert.strictEqual(yield* Clock.currentTimeNanos, clock.unsafeCurrentTimeNanos())
        assert.strictEqual(clock.unsafeCurrentTimeNanos(), BigInt(clock.unsafeCurrentTimeMillis()) * 1_000_000n)
        return seen
      }))
      assert.deepStrictEqual(value, [0, 3_600_000, 3_600_000])
      assert.strictEqual(millis, 3_600_000 + Duration.toMillis("365 days"))
    }))

  it.effect("wakes sleepers in the order of time, whatever the order in which they started", () =>
    Property.check(fc.array(fc.nat(50), { maxLength: 40 }), (sleeps) =>
      Effect.gen(function*() {
        const { entries, note } = journal()
        const { millis } = yield* VirtualClock.run(
          Effect.forEach(sleeps, (sleep, i) => Effect.zipRight(Effect.sleep(sleep), note(`${i}`)), {
            concurrency: "unbounded"
          })
        )
        // Of those that wake at the same instant the one that fell asleep first is first.
        const expected = sleeps.map((at, i) => [at, `${i}`] as const).sort(([a], [b]) => a - b)
        assert.deepStrictEqual(entries, expected)
        assert.strictEqual(millis, Math.max(0, ...sleeps))
      }), 300))

  it.effect("lets everything happen at an instant before the next one", () =>
    Effect.gen(function*() {
      const { entries, note } = journal()
      yield* VirtualClock.run(Effect.gen(function*() {
        const queue = yield* Queue.unbounded<number>()
        const reader = Queue.take(queue).pipe(
          Effect.tap((item) => note(`read ${item}`)),
          Effect.tap(() => Effect.yieldNow()),
          Effect.tap((item) => note(`done ${item}`)),
          Effect.repeatN(1)
        )
        const first = Effect.zipRight(Effect.sleep(10), Effect.zipRight(note("offers 1"), Queue.offer(queue, 1)))
        const second = Effect.zipRight(Effect.sleep(10), Effect.zipRight(note("offers 2"), Queue.offer(queue, 2)))
        yield* Effect.all([first, second, reader], { concurrency: "unbounded" })
      }))
      assert.deepStrictEqual(entries, [
        [10, "offers 1"],
        [10, "read 1"],
        [10, "done 1"],
        [10, "offers 2"],
        [10, "read 2"],
        [10, "done 2"]
      ])
    }))

  it.effect("runs sleeps within sleeps, and schedules", () =>
    Effect.gen(function*() {
      const { entries, note } = journal()
      const beat = (name: string, every: number, times: number) =>
        Effect.repeat(note(name), Schedule.intersect(Schedule.spaced(every), Schedule.recurs(times)))
      const { millis } = yield* VirtualClock.run(Effect.gen(function*() {
        const fiber = yield* Effect.fork(beat("a", 20, 2))
        yield* Effect.sleep(10)
        yield* Effect.zipRight(Effect.sleep(5), Effect.zip(beat("b", 10, 1), Effect.sleep(1), { concurrent: true }))
        yield* Fiber.join(fiber)
      }))
      assert.deepStrictEqual(entries, [[0, "a"], [15, "b"], [20, "a"], [25, "b"], [40, "a"]])
      assert.strictEqual(millis, 40)
    }))

  it.effect("knows timeouts", () =>
    Effect.gen(function*() {
      const { entries, note } = journal()
      const { millis } = yield* VirtualClock.run(
        Effect.sleep("1 day").pipe(
          Effect.onInterrupt(() => note("interrupted")),
          Effect.timeoutOption("1 minute")
        )
      )
      assert.deepStrictEqual(entries, [[60_000, "interrupted"]])
      assert.strictEqual(millis, 60_000)
    }))

  it.effect("is not woken by sleepers that were interrupted", () =>
    Effect.gen(function*() {
      const { entries, note } = journal()
      const { millis } = yield* VirtualClock.run(Effect.gen(function*() {
        const sleepers = yield* Effect.forEach([100, 200, 300, 400], (sleep) =>
          Effect.fork(Effect.zipRight(Effect.sleep(sleep), note(`${sleep}`))))
        yield* Effect.sleep(150)
        yield* Fiber.interrupt(sleepers[3]!)
        yield* Fiber.interrupt(sleepers[1]!)
        yield* Effect.forEach(sleepers, Fiber.await)
      }))
      assert.deepStrictEqual(entries, [[100, "100"], [300, "300"]])
      assert.strictEqual(millis, 300)
    }))

  it.effect("dies of a deadlock, and says when", () =>
    Effect.gen(function*() {
      const deadlock = (effect: Effect.Effect<unknown>) =>
        Effect.map(Effect.exit(VirtualClock.run(effect)), (exit) => {
          const defects = Exit.isFailure(exit) ? Array.from(Cause.defects(exit.cause)) : []
          return defects.map((defect) => defect instanceof VirtualClock.Deadlock ? defect.millis : defect)
        })
      assert.deepStrictEqual(yield* deadlock(Effect.never), [0])
      assert.deepStrictEqual(yield* deadlock(Effect.sleep(Duration.infinity)), [0])
      assert.deepStrictEqual(yield* deadlock(Effect.zipRight(Effect.sleep(1_234), Effect.never)), [1_234])
      // An interrupted sleeper does not move time on.
      assert.deepStrictEqual(
        yield* deadlock(Effect.zipRight(Effect.timeoutOption(Effect.sleep("1 day"), 10), Effect.never)),
        [10]
      )
      const waiting = Effect.flatMap(Deferred.make<void>(), (deferred) =>
        Effect.zip(Deferred.await(deferred), Effect.sleep(50), { concurrent: true }))
      assert.deepStrictEqual(yield* deadlock(waiting), [50])
    }))

  it.effect("names the fibers of a deadlock: where they are, and which fibers they wait for", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const program = Effect.gen(function*() {
        const never: Fiber.RuntimeFiber<void> = yield* Effect.forkDaemon(Effect.withSpan(Effect.never, "a lost answer"))
        yield* Effect.forkDaemon(Effect.sleep(10))
        yield* Effect.fork(Effect.onInterrupt(Effect.never, () => Effect.sync(() => ended.push("child"))))
        const own = yield* Effect.fiberId
        yield* Effect.sleep(20)
        ended.push(FiberId.threadName(own))
        yield* Fiber.join(never)
      })
      const exit = yield* Effect.exit(VirtualClock.run(program))
      const [defect] = Exit.isFailure(exit) ? Array.from(Cause.defects(exit.cause)) : []
      assert.instanceOf(defect, VirtualClock.Deadlock)
      const [main, lost, child, ...others] = defect.fibers
      assert.deepStrictEqual(main, { fiber: ended[0]!, span: undefined, on: lost?.fiber })
      assert.deepStrictEqual([lost?.span, lost?.on, child?.span, child?.on], [
        "a lost answer",
        undefined,
        undefined,
        undefined
      ])
      assert.deepStrictEqual(others, [])
      assert.strictEqual(
        defect.message,
        `Nothing can wake up any more after 20 ms of virtual time, but the effect has not ended. Waiting: ${main?.fiber} for ` +
          `${lost?.fiber}, ${lost?.fiber} in a lost answer, ${child?.fiber}.`
      )
      // What can be interrupted of it is.
      yield* Effect.yieldNow()
      yield* Effect.promise(() => Promise.resolve())
      assert.strictEqual(ended[1], "child")
    }))

  it.effect("names the workers of a run that waits for ever", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        Recording.uploadAll(Recording.make(() => Effect.never), [UploadFile.fromText("a", "text")], {
          run: { stallTimeout: Infinity }
        })
      )
      const [defect] = Exit.isFailure(exit) ? Array.from(Cause.defects(exit.cause)) : []
      assert.instanceOf(defect, VirtualClock.Deadlock)
      const uploading = defect.fibers.filter(({ span }) => span === "Uploader.uploadAll")
      assert.isAtLeast(defect.fibers.length, 3)
      assert.isAbove(uploading.length, 0)
    }))

  it.live("lets the rest of the process have its turns, and can be interrupted", () =>
    Effect.gen(function*() {
      let beats = 0
      const reached = yield* Deferred.make<void>()
      const ended = yield* Deferred.make<number>()
      const endless = Effect.forever(
        Effect.zipRight(
          Effect.sleep(1),
          Effect.sync(() => ++beats === 1_000 && Deferred.unsafeDone(reached, Exit.void))
        )
      )
      const fiber = yield* Effect.fork(VirtualClock.run(
        Effect.onInterrupt(endless, () =>
          Effect.flatMap(
            Effect.zipRight(Effect.sleep(5), Clock.currentTimeMillis),
            (now) => Deferred.succeed(ended, now)
          ))
      ))
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      // What it does on interruption is under virtual time as well, and waited for.
      assert.strictEqual(yield* Deferred.await(ended), beats + 5)
    }))

  it.effect("has the same history whatever happens in the turns of the rest of the process", () =>
    Effect.gen(function*() {
      const long = Effect.gen(function*() {
        const { entries, note } = journal()
        yield* VirtualClock.run(
          Effect.forEach(
            [1, 2, 3],
            (every) =>
              Effect.forEach(
                Array.from({ length: 12_000 }),
                (_, i) => Effect.zipRight(Effect.sleep(every), i % 1_000 === 0 ? note(`${every}: ${i}`) : Effect.void),
                {
                  discard: true
                }
              ),
            { concurrency: "unbounded" }
          )
        )
        return entries
      })
      const alone = yield* long
      const busy = yield* Effect.fork(TestServices.provideLive(Effect.forever(Effect.sleep(1))))
      assert.deepStrictEqual(yield* long, alone)
      yield* Fiber.interrupt(busy)
    }))

  it.effect("ends with its effect: daemons that are left do not move time on", () =>
    Effect.gen(function*() {
      let beats = 0
      const { millis } = yield* VirtualClock.run(Effect.gen(function*() {
        yield* Effect.forkDaemon(
          Effect.repeatN(Effect.zipRight(Effect.sleep(10), Effect.sync(() => beats++)), 999)
        )
        yield* Effect.sleep(35)
      }))
      yield* Effect.yieldNow()
      assert.deepStrictEqual([millis, beats], [35, 3])
    }))

  it.effect("fails and dies as its effect does", () =>
    Effect.gen(function*() {
      const failed = yield* Effect.exit(VirtualClock.run(Effect.zipRight(Effect.sleep(5), Effect.fail("failed"))))
      assert.deepStrictEqual(failed, Exit.fail("failed"))
      const died = yield* Effect.exit(VirtualClock.run(Effect.zipRight(Effect.sleep(5), Effect.die("died"))))
      assert.deepStrictEqual(died, Exit.die("died"))
    }))

  it.effect("keeps the services of its effect", () =>
    Effect.gen(function*() {
      const { value } = yield* VirtualClock.run(Effect.zipRight(Effect.sleep(1), Random.next)).pipe(
        Effect.withRandom(Random.fixed([0.125]))
      )
      assert.strictEqual(value, 0.125)
    }))

  it.effect("has its own time in each run, even if runs are nested or concurrent", () =>
    Effect.gen(function*() {
      const inner = VirtualClock.run(Effect.as(Effect.sleep(1_000), "inner"))
      const outer = yield* VirtualClock.run(Effect.zipRight(Effect.sleep(10), Effect.succeed("outer")))
      const both = yield* Effect.all([inner, inner], { concurrency: "unbounded" })
      assert.deepStrictEqual(outer, { value: "outer", millis: 10 })
      assert.deepStrictEqual(both, [{ value: "inner", millis: 1_000 }, { value: "inner", millis: 1_000 }])
    }))

  it.effect("gives the same history for the same seed, byte for byte", () =>
    Effect.gen(function*() {
      const history = (seed: string) =>
        Effect.gen(function*() {
          const { entries, note } = journal()
          yield* VirtualClock.run(
            Effect.forEach(Array.from({ length: 30 }, (_, i) => i), (i) =>
              Random.nextIntBetween(0, 20).pipe(
                Effect.tap((millis) => Effect.sleep(millis)),
                Effect.tap((millis) => note(`${i} after ${millis}`)),
                Effect.repeatN(5)
              ), { concurrency: 7 })
          )
          return JSON.stringify(entries)
        }).pipe(Effect.withRandom(Random.make(seed)))
      const first = yield* history("one")
      assert.strictEqual(yield* history("one"), first)
      assert.notStrictEqual(yield* history("two"), first)
    }))
})
