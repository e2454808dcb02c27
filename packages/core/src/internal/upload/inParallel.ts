/**
 * Runs the same effect several times concurrently, as one.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/**
 * Runs an effect `count` times concurrently. The first failure, or an interruption, interrupts all of them, and is
 * reported when the last one has ended.
 *
 * (`Effect.forEach` with concurrency never returns if it is interrupted exactly between its own start and that of its
 * first fiber.)
 */
export const inParallel = <E>(count: number, effect: Effect.Effect<void, E>): Effect.Effect<void, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<void, E>()
      let running = count
      const one = Effect.onExit(restore(effect), (exit) =>
        Effect.suspend(() => {
          running -= 1
          return Exit.isFailure(exit)
            ? Deferred.failCause(ended, exit.cause)
            : running === 0
            ? Deferred.succeed(ended, undefined)
            : Effect.void
        }))
      const fibers = yield* Effect.replicateEffect(Effect.forkDaemon(one), count)
      const exit = yield* Effect.exit(restore(Deferred.await(ended)))
      if (Exit.isFailure(exit)) yield* Fiber.interruptAll(fibers)
      yield* exit
    })
  )
