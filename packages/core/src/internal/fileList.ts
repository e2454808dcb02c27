/**
 * A lazy list of files behind one puller.
 *
 * Arrays are counted at once. Other iterables are pulled one by one. Streams and async iterables are read by a fiber of
 * their own, a bounded way ahead, so that totals are known early and memory stays flat.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** The list has ended. */
export const end: unique symbol = Symbol.for("@sluice/core/internal/fileList/end")

/** Nothing is there yet: use `pull`. */
export const pending: unique symbol = Symbol.for("@sluice/core/internal/fileList/pending")

export interface FileList<A, E> {
  readonly unsafePull: () => A | typeof end | typeof pending
  /** Whether there may be another item. */
  readonly mayHaveMore: () => boolean
  /** Waits for the next item. Only one fiber may pull at a time. */
  readonly pull: Effect.Effect<A | typeof end>
  /** Stops reading, and lets go of what the list holds. */
  readonly close: Effect.Effect<void>
  /** How the list ended, once it has: its failure is told here. */
  readonly exit: () => Exit.Exit<void, E>
}

export interface Counter<A> {
  readonly found: (items: ReadonlyArray<A>) => void
  readonly listed: () => Effect.Effect<void>
}

export type Source<A, E, R> = Iterable<A> | AsyncIterable<A> | Stream.Stream<A, E, R>

export const make = <A, E, R>(
  source: Source<A, E, R>,
  lookahead: number,
  counter: Counter<A>
): Effect.Effect<FileList<A, E>, never, R | Scope.Scope> => {
  if (Array.isArray(source)) return fromArray(source as ReadonlyArray<A>, counter)
  if (Symbol.iterator in source) return Effect.sync(() => fromIterable(source, counter))
  return fromStream(
    Stream.StreamTypeId in source
      ? source
      : Stream.orDie(Stream.fromAsyncIterable(source, (cause) => cause)),
    lookahead,
    counter
  )
}

const succeeded = Exit.void

const fromArray = <A>(items: ReadonlyArray<A>, counter: Counter<A>): Effect.Effect<FileList<A, never>> =>
  Effect.suspend(() => {
    let next = 0
    counter.found(items)
    const unsafePull = () => next < items.length ? items[next++]! : end
    return Effect.as(counter.listed(), {
      unsafePull,
      mayHaveMore: () => next < items.length,
      pull: Effect.sync(unsafePull),
      close: Effect.void,
      exit: () => succeeded
    })
  })

const fromIterable = <A>(items: Iterable<A>, counter: Counter<A>): FileList<A, never> => {
  const iterator = items[Symbol.iterator]()
  let exit: Exit.Exit<void> | undefined = undefined
  let told = false
  return {
    unsafePull: () => {
      if (exit !== undefined) return told ? end : pending
      try {
        const result = iterator.next()
        if (result.done !== true) {
          counter.found([result.value])
          return result.value
        }
        exit = succeeded
      } catch (defect) {
        exit = Exit.die(defect)
      }
      return pending
    },
    mayHaveMore: () => exit === undefined,
    pull: Effect.suspend(() => {
      told = true
      return Effect.as(counter.listed(), end)
    }),
    close: Effect.sync(() => {
      if (exit === undefined) iterator.return?.()
    }),
    exit: () => exit ?? succeeded
  }
}

const fromStream = <A, E, R>(
  stream: Stream.Stream<A, E, R>,
  lookahead: number,
  counter: Counter<A>
): Effect.Effect<FileList<A, E>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const batch = Math.min(largestBatch, Math.ceil(lookahead / 2))
    const queue = yield* Queue.bounded<A | typeof end>(Math.max(1, lookahead - batch))
    let exit: Exit.Exit<void, E> = succeeded
    let buffered: ReadonlyArray<A | typeof end> = []
    let next = 0
    const ended = (result: Exit.Exit<void, E>): Effect.Effect<void> => {
      const cut = Exit.isFailure(result) && Cause.isInterruptedOnly(result.cause)
      exit = cut ? succeeded : result
      return (cut ? Effect.void : counter.listed()).pipe(
        Effect.catchAllCause((cause) =>
          Effect.sync(() => {
            exit = Exit.failCause(cause)
          })
        ),
        Effect.zipRight(Effect.forkDaemon(Queue.offer(queue, end)))
      )
    }
    const reader = yield* Stream.runForEachChunk(stream, (chunk) => {
      const items = Array.from(chunk)
      counter.found(items)
      return Queue.offerAll(queue, items)
    }).pipe(Effect.onExit(ended), Effect.forkScoped)
    const unsafePull = () => {
      if (next >= buffered.length) return pending
      const item = buffered[next]!
      if (item !== end) next += 1
      return item
    }
    return {
      unsafePull,
      mayHaveMore: () => buffered[next] !== end,
      pull: Queue.takeBetween(queue, 1, batch).pipe(
        // The queue is shut when the list is closed.
        Effect.catchAllCause(() => Effect.succeed([end] as const)),
        Effect.map((items) => {
          buffered = Array.from(items)
          next = 0
          return unsafePull() as A | typeof end
        })
      ),
      close: Effect.zipRight(Fiber.interrupt(reader), Queue.shutdown(queue)),
      exit: () => exit
    }
  })

const largestBatch = 1024
