/**
 * Time limits that hold wherever they are set. In an uninterruptible region, `Effect.timeout` interrupts nothing and
 * waits until the effect ends by itself. It also runs the effect in a child fiber, which an interruption of the parent
 * reaches even there.
 */
import type * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/**
 * Runs an effect for at most `millis`, and then fails. Before that, only an interruption that reaches the caller ends
 * it. In both cases the effect has ended when this has: an effect that may not end when interrupted goes through
 * `Effect.disconnect` first.
 */
export const within = <A, E, E2, R>(
  effect: Effect.Effect<A, E, R>,
  millis: number,
  onLate: () => E2
): Effect.Effect<A, E | E2, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const call = yield* Effect.forkDaemon(Effect.interruptible(effect))
      const timer = yield* Effect.forkDaemon(Effect.interruptible(Effect.sleep(Duration.millis(millis))))
      const first = Effect.async<Exit.Exit<A, E> | undefined>((resume) => {
        call.addObserver((exit) => resume(Effect.succeed(exit)))
        timer.addObserver(() => resume(Effect.succeed(undefined)))
      })
      const exit = yield* Effect.catchAllCause(restore(first), (interruption) => {
        timer.unsafeInterruptAsFork(FiberId.none)
        return Effect.zipRight(Fiber.interrupt(call), Effect.failCause(interruption))
      })
      if (exit === undefined) return yield* Effect.zipRight(Fiber.interrupt(call), Effect.fail(onLate()))
      timer.unsafeInterruptAsFork(FiberId.none)
      return yield* exit
    })
  )

/** A stream that fails if a block does not arrive within `millis`. */
export const eachWithin = <A, E, E2, R>(
  stream: Stream.Stream<A, E, R>,
  millis: number,
  onLate: () => E2
): Stream.Stream<A, E | E2, R> =>
  Stream.fromPull(
    Effect.map(
      Stream.toPull(stream),
      (pull): Effect.Effect<Chunk.Chunk<A>, Option.Option<E | E2>, R> =>
        within(pull, millis, () => Option.some(onLate()))
    )
  )
