/**
 * The spans of files and of their attempts. They are for regions that can be interrupted only through `restore`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Tracer from "effect/Tracer"

/** A span to be made. */
export interface Spanned {
  readonly name: string
  readonly attributes: Readonly<Record<string, unknown>>
}

/** Runs an attempt in a span. */
export const ofAttempt = <A, E>(spanned: Spanned, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  inSpan(spanned, effect, (_, exit) => exit)

/** Adds an event to the span of the current file or request. */
export const event = (name: string, attributes: Record<string, unknown>): Effect.Effect<void> =>
  Effect.clockWith((clock) =>
    Effect.map(FiberRef.get(FiberRef.currentContext), (context) => {
      const span = Context.getOption(context, Tracer.ParentSpan)
      if (span._tag === "Some" && span.value._tag === "Span") {
        span.value.event(name, clock.unsafeCurrentTimeNanos(), attributes)
      }
    })
  )

/**
 * Runs an effect in a span. (`Effect.withSpan` leaves two more frames on the stack: 4 KiB for each of the uploads in
 * flight, as much as everything else that one holds.)
 */
export const inSpan = <A, E>(
  { attributes, name }: Spanned,
  effect: Effect.Effect<A, E>,
  exitOf: (span: Tracer.Span, exit: Exit.Exit<A, E>) => Exit.Exit<unknown, unknown>
): Effect.Effect<A, E> =>
  Effect.flatMap(
    Effect.zip(
      Effect.makeSpan(name, { attributes, captureStackTrace: false }),
      FiberRef.get(FiberRef.currentContext)
    ),
    ([span, context]) => {
      flatten(span.spanId)
      flatten(span.traceId)
      const ended = (exit: Exit.Exit<A, E>): Effect.Effect<A, E> =>
        Effect.clockWith((clock) => {
          span.end(clock.unsafeCurrentTimeNanos(), exitOf(span, exit))
          return Effect.zipRight(FiberRef.set(FiberRef.currentContext, context), exit)
        })
      return Effect.zipRight(
        FiberRef.set(FiberRef.currentContext, Context.add(context, Tracer.ParentSpan, span)),
        Effect.matchCauseEffect(effect, {
          onSuccess: (value) => ended(Exit.succeed(value)),
          onFailure: (cause) => ended(Exit.failCause(cause))
        })
      )
    }
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Effect joins an id of single digits. Read once, it takes 80 bytes instead of 700. */
const flatten = (id: string): string => id.charAt(0)
