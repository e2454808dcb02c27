/**
 * Virtual time without real timers: when nothing more can run, the clock jumps to the next wake-up.
 *
 * `TestClock` is advanced manually and waits several real timer turns for each wake-up, which suits unit tests of a few
 * steps. This clock moves by itself and costs microseconds per wake-up, which suits whole runs with thousands of them.
 * It handles only waits on `Clock`: do not use it to run an effect that also waits for real files or sockets.
 *
 * The behaviour of an effect under it depends only on the effect and its `Random`, which is seeded: the same seed gives
 * the same history. From time to time a run yields to the rest of the process, so that a long run can be interrupted.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberStatus from "effect/FiberStatus"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import type * as Scheduler from "effect/Scheduler"
import { Heap } from "../internal/limits/heap.js"

/**
 * Nothing can ever wake up again, and the effect has not ended.
 *
 * @since 0.1.0
 * @category errors
 */
export class Deadlock extends Data.TaggedError("Deadlock")<{
  /** The virtual time, in milliseconds since the start. */
  readonly millis: number
  /** The fibers that have not ended, oldest first. */
  readonly fibers: ReadonlyArray<Waiting>
}> {
  /** @since 0.1.0 */
  override get message(): string {
    const shown = this.fibers.slice(0, mostShown).map(describe)
    const more = this.fibers.length - shown.length
    return `Nothing can wake up any more after ${this.millis} ms of virtual time, but the effect has not ended. ` +
      `Waiting: ${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}.`
  }
}

/**
 * A fiber that waits for something that never happens.
 *
 * @since 0.1.0
 * @category models
 */
export interface Waiting {
  /** The name of the fiber, as in Effect's logs. */
  readonly fiber: string
  /** The span that it is in, if any. */
  readonly span: string | undefined
  /** The fiber that it waits for, if it waits for one. */
  readonly on: string | undefined
}

/**
 * The result of an effect, and how long it took in virtual time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outcome<A> {
  readonly value: A
  /** Virtual milliseconds since the start. */
  readonly millis: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The seed of `Random`: the same seed gives the same history, and other seeds give others. Defaults to 0, unless the
   * run itself has a `Random` from `Effect.withRandom`, which then stays as it is.
   */
  readonly seed?: number | string | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { seed: 0 } as const satisfies Options

/**
 * Runs an effect under virtual time, which starts at 0, and with randomness from a seed. A run in which nothing more can wake up dies with a
 * {@link Deadlock}, after interrupting whatever can be interrupted. Interrupting the run interrupts the effect.
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
export const run = <A, E, R>(effect: Effect.Effect<A, E, R>, options?: Options): Effect.Effect<Outcome<A>, E, R> =>
  Effect.flatMap(
    Effect.all([Effect.runtime<R>(), randomOf(options)]),
    ([runtime, random]) =>
      Effect.async<Outcome<A>, E>((resume) => {
        const time = new VirtualTime()
        const fiber = Runtime.runFork(runtime)(Effect.withRandom(Effect.withClock(effect, time.clock), random), {
          scheduler: time,
          immediate: false
        })
        fiber.addObserver((exit) => {
          time.ended = true
          resume(Exit.map(exit, (value) => ({ value, millis: time.now })))
        })
        time.onIdle = () => {
          if (time.ended) return
          time.ended = true
          const { now } = time
          resume(Effect.flatMap(Effect.forEach(time.fibers(), waitingOf), (fibers) => {
            fiber.unsafeInterruptAsFork(FiberId.none)
            return Effect.die(new Deadlock({ millis: now, fibers }))
          }))
        }
        return Fiber.interrupt(fiber)
      })
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The most fibers that the message of a deadlock names. */
const mostShown = 10

/** The number of tasks after which a run yields to the rest of the process. */
const tasksInTurn = 32_768

const realClock = Clock.make()

/** The randomness of every effect that is given no other: its seed differs in each process. */
const unseeded = Context.get(DefaultServices.liveServices, Random.Random)

const randomOf = ({ seed }: Options = {}): Effect.Effect<Random.Random> =>
  Effect.map(
    Effect.random,
    (random) => seed === undefined && random !== unseeded ? random : Random.make(seed ?? defaults.seed)
  )

const waitingOf = (fiber: Fiber.RuntimeFiber<unknown, unknown>): Effect.Effect<Waiting> =>
  Effect.map(fiber.status, (status) => ({
    fiber: FiberId.threadName(fiber.id()),
    span: fiber.currentSpan?._tag === "Span" ? fiber.currentSpan.name : undefined,
    on: FiberStatus.isSuspended(status) && Option.isSome(FiberId.toOption(status.blockingOn))
      ? FiberId.threadName(status.blockingOn)
      : undefined
  }))

const describe = ({ fiber, on, span }: Waiting): string =>
  `${fiber}${span === undefined ? "" : ` in ${span}`}${on === undefined ? "" : ` for ${on}`}`

// A class, because V8 takes object literals that once lived long for ones that always will, and allocates them, and
// thus everything they refer to, where only a full collection looks.
class Sleeper {
  readonly at: number
  readonly order: number
  /** Whether its fiber's tasks run on this scheduler. */
  readonly isOwn: boolean
  readonly resume: (effect: Effect.Effect<void>) => void
  isOver = false

  constructor(at: number, order: number, isOwn: boolean, resume: (effect: Effect.Effect<void>) => void) {
    this.at = at
    this.order = order
    this.isOwn = isOwn
    this.resume = resume
  }
}

const before = (a: Sleeper, b: Sleeper): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

class VirtualTime implements Scheduler.Scheduler {
  now = 0
  /** Whether the effect has ended: sleepers that remain are never woken. */
  ended = false
  onIdle: () => void = () => {}
  private order = 0
  private running = false
  private readonly started = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  private sweepAt = 64
  private tasks: Array<Scheduler.Task> = []
  private readonly sleepers = new Heap(before)

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
        // In whole nanoseconds: the error of summed fractions is too small to sleep for, and would never elapse.
        const at = Math.round((this.now + millis) * 1e6) / 1e6
        const sleeper = new Sleeper(at, this.order++, this.runs(Fiber.getCurrentFiber()), resume)
        this.sleepers.push(sleeper)
        // Waking a sleeper schedules a task, except after an interruption: tracking that would cost as much as the rest
        // of a sleep.
        if (sleeper.isOwn) return
        return Effect.sync(() => {
          sleeper.isOver = true
        })
      })
  }

  shouldYield(): false {
    return false
  }

  scheduleTask(task: Scheduler.Task, _priority: number, fiber?: Fiber.RuntimeFiber<unknown, unknown>): void {
    this.tasks.push(task)
    if (fiber !== undefined) this.note(fiber)
    if (this.running) return
    this.running = true
    void Promise.resolve().then(() => this.drain())
  }

  /** The fibers that have not ended, oldest first. */
  fibers(): ReadonlyArray<Fiber.RuntimeFiber<unknown, unknown>> {
    return Array.from(this.started).filter((fiber) => fiber.unsafePoll() === null)
  }

  private note(fiber: Fiber.RuntimeFiber<unknown, unknown>): void {
    this.started.add(fiber)
    if (this.started.size < this.sweepAt) return
    for (const other of this.started) if (other.unsafePoll() !== null) this.started.delete(other)
    this.sweepAt = Math.max(64, this.started.size * 2)
  }

  private drain(): void {
    let left = tasksInTurn
    do {
      while (this.tasks.length > 0) {
        if (left <= 0) return this.giveWay()
        const tasks = this.tasks
        this.tasks = []
        for (const task of tasks) task()
        left -= tasks.length
      }
    } while (this.wakeNext())
    this.running = false
    this.onIdle()
  }

  /** Continues after a turn of the event loop. */
  private giveWay(): void {
    Runtime.runFork(Runtime.defaultRuntime)(realClock.sleep(Duration.zero)).addObserver(() => this.drain())
  }

  private runs(fiber: Option.Option<Fiber.RuntimeFiber<unknown, unknown>>): boolean {
    return Option.isSome(fiber) && fiber.value.currentScheduler === this
  }

  private wakeNext(): boolean {
    if (this.ended) return false
    for (let sleeper = this.sleepers.pop(); sleeper !== undefined; sleeper = this.sleepers.pop()) {
      if (sleeper.isOver) continue
      const { now } = this
      this.now = Math.max(now, sleeper.at)
      sleeper.resume(Effect.void)
      if (this.tasks.length > 0 || !sleeper.isOwn) return true
      this.now = now
    }
    return false
  }
}
