/**
 * Time bounds that hold in finalizers, too. `Effect.timeout` cuts nothing where nothing may be interrupted, and then waits
 * for as long as what it was to cut.
 */
import type * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/**
 * Runs an effect for at most so many milliseconds, and fails then. It has ended when this has; what somebody else wrote
 * may not end when it is interrupted, and goes through `Effect.disconnect` first.
 */
export const within = <A, E, E2, R>(
  effect: Effect.Effect<A, E, R>,
  millis: number,
  onLate: () => E2
): Effect.Effect<A, E | E2, R> =>
  Effect.timeoutFail(Effect.interruptible(effect), { duration: Duration.millis(millis), onTimeout: onLate })

/** A stream that fails when a block does not come within so many milliseconds. */
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
