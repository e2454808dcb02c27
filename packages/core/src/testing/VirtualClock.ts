/**
 * Virtual time without real timers: when nothing can run any more, the clock jumps to the next wake-up.
 *
 * `TestClock` is moved by hand and waits several real timer turns for each wake-up: right for unit tests of a few
 * steps. This clock moves by itself and costs microseconds a wake-up: right for whole runs with thousands of them. It
 * knows only of waits on `Clock`: an effect that also waits for real files or sockets has no place under it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type * as Scheduler from "effect/Scheduler"

/**
 * Nothing can ever wake again, and the effect has not ended.
 *
 * @since 0.1.0
 * @category errors
 */
export class Deadlock extends Data.TaggedError("Deadlock")<{
  /** The virtual time, in milliseconds since the start. */
  readonly millis: number
}> {
  /** @since 0.1.0 */
  override get message(): string {
    return `Nothing can wake any more after ${this.millis} ms of virtual time, and the effect has not ended.`
  }
}

/**
 * What an effect came to, and how long it took by virtual time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outcome<A> {
  readonly value: A
  /** Virtual milliseconds from the start. */
  readonly millis: number
}

/**
 * Runs an effect under virtual time, which starts at 0. A run in which nothing can wake any more dies with a
 * {@link Deadlock}.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import * as VirtualClock from "@sluice/core/testing/VirtualClock"
 * import { Effect } from "effect"
 *
 * const anHour = VirtualClock.run(Effect.as(Effect.sleep("1 hour"), "done"))
 *
 * Effect.runPromise(anHour).then((outcome) => {
 *   assert.deepStrictEqual(outcome, { value: "done", millis: 3_600_000 })
 * })
 * ```
 *
 * @since 0.1.0
 * @category execution
 */
export const run = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Outcome<A>, E, R> =>
  Effect.flatMap(Effect.runtime<R>(), (runtime) =>
    Effect.async<Outcome<A>, E>((resume) => {
      const time = new VirtualTime()
      const fiber = Runtime.runFork(runtime)(Effect.withClock(effect, time.clock), {
        scheduler: time,
        immediate: false
      })
      fiber.addObserver((exit) => {
        time.ended = true
        resume(Exit.map(exit, (value) => ({ value, millis: time.now })))
      })
      time.onIdle = () => resume(Effect.die(new Deadlock({ millis: time.now })))
      return Fiber.interrupt(fiber)
    }))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface Sleeper {
  readonly at: number
  readonly order: number
  readonly wake: () => void
  awake: boolean
}

class VirtualTime implements Scheduler.Scheduler {
  now = 0
  /** Whether the effect has come to its end: what still sleeps then is never woken. */
  ended = false
  onIdle: () => void = () => {}
  private order = 0
  private running = false
  private tasks: Array<Scheduler.Task> = []
  private readonly sleepers: Array<Sleeper> = []

  readonly clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => this.now,
    unsafeCurrentTimeNanos: () => BigInt(Math.floor(this.now * 1_000_000)),
    currentTimeMillis: Effect.sync(() => this.now),
    currentTimeNanos: Effect.sync(() => BigInt(Math.floor(this.now * 1_000_000))),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const millis = Duration.toMillis(duration)
        if (millis === Infinity) return
        const sleeper: Sleeper = {
          at: this.now + millis,
          order: this.order++,
          wake: () => resume(Effect.void),
          awake: false
        }
        push(this.sleepers, sleeper)
        return Effect.sync(() => {
          sleeper.awake = true
        })
      })
  }

  shouldYield(): false {
    return false
  }

  scheduleTask(task: Scheduler.Task): void {
    this.tasks.push(task)
    if (this.running) return
    this.running = true
    void Promise.resolve().then(() => this.drain())
  }

  private drain(): void {
    do {
      while (this.tasks.length > 0) {
        const tasks = this.tasks
        this.tasks = []
        for (const task of tasks) task()
      }
    } while (this.wakeNext())
    this.running = false
    this.onIdle()
  }

  private wakeNext(): boolean {
    if (this.ended) return false
    for (let sleeper = pop(this.sleepers); sleeper !== undefined; sleeper = pop(this.sleepers)) {
      if (sleeper.awake) continue
      sleeper.awake = true
      this.now = Math.max(this.now, sleeper.at)
      sleeper.wake()
      return true
    }
    return false
  }
}

const before = (a: Sleeper, b: Sleeper): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

const push = (heap: Array<Sleeper>, sleeper: Sleeper): void => {
  let at = heap.push(sleeper) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!before(sleeper, heap[parent]!)) break
    heap[at] = heap[parent]!
    at = parent
  }
  heap[at] = sleeper
}

const pop = (heap: Array<Sleeper>): Sleeper | undefined => {
  const first = heap[0]
  const last = heap.pop()
  if (heap.length === 0 || last === undefined) return first
  let at = 0
  while (true) {
    const left = 2 * at + 1
    if (left >= heap.length) break
    const child = left + 1 < heap.length && before(heap[left + 1]!, heap[left]!) ? left + 1 : left
    if (!before(heap[child]!, last)) break
    heap[at] = heap[child]!
    at = child
  }
  heap[at] = last
  return first
}
