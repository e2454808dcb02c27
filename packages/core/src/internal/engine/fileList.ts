/**
 * A lazy list of files behind one puller.
 *
 * Arrays are counted at once. Other iterables are pulled one by one. Streams and async iterables are read by a fiber of
 * their own, a bounded way ahead, so that totals are known early and memory stays flat. That fiber runs the code
 * of the list's author, which may never return, so closing the list waits at most {@link closeMillis} for it.
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { endedWithin } from "../calls/ended.js"
import * as InFlight from "../limits/inFlight.js"

/** The list has ended. */
export const end: unique symbol = Symbol.for("@sluice/core/internal/fileList/end")

/** No item is available yet: use `pull`. */
export const pending: unique symbol = Symbol.for("@sluice/core/internal/fileList/pending")

/** What workers pull from. */
export interface List<A> {
  readonly unsafePull: () => A | typeof end | typeof pending
  /** Whether there may be another item. */
  readonly mayHaveMore: () => boolean
  /** Waits for the next item. Only one fiber may pull at a time. */
  readonly pull: Effect.Effect<A | typeof end>
  /** Stops reading, and lets go of what the list holds. */
  readonly close: Effect.Effect<void>
}

export interface FileList<A, E> extends List<A> {
  /** How the list ended, once it has, including its failure. */
  readonly exit: () => Exit.Exit<void, E>
}

/** A list without items. */
export const empty: List<never> = {
  unsafePull: () => end,
  mayHaveMore: () => false,
  pull: Effect.succeed(end),
  close: Effect.void
}

export interface Counter<A> {
  readonly found: (items: ReadonlyArray<A>) => void
  readonly listed: () => Effect.Effect<void>
}

export type Source<A, E, R> = Iterable<A> | AsyncIterable<A> | Stream.Stream<A, E, R>

/** How long closing a list waits for its finalizers, or for a step that cannot be interrupted, in milliseconds. */
const closeMillis = 1_000

export const make = <A, E, R>(
  source: Source<A, E, R>,
  lookahead: number,
  counter: Counter<A>
): Effect.Effect<FileList<A, E>, never, R | Scope.Scope> => {
  if (Array.isArray(source)) return fromArray(source as ReadonlyArray<A>, counter)
  // Callers without types can pass anything. An Effect is iterable, but it is never a list.
  if (!Predicate.isObject(source) || Effect.isEffect(source)) return Effect.die(noList(source))
  if (Stream.StreamTypeId in source) return fromStream(source, lookahead, counter)
  if (Symbol.iterator in source) return Effect.sync(() => fromIterable(source, counter))
  return Symbol.asyncIterator in source
    ? fromStream(fromAsyncIterable(source), lookahead, counter)
    : Effect.die(noList(source))
}

const noList = (source: unknown): TypeError =>
  new TypeError(
    `A list of files is an array, an iterable, an async iterable or a Stream, not ${
      Effect.isEffect(source)
        ? "an Effect: run it first, and pass what it gives"
        : Predicate.isPromise(source)
        ? "a Promise: await it first, and pass what it gives"
        : Inspectable.toStringUnknown(source, 0).slice(0, 100)
    }.`
  )

const succeeded = Exit.void

/**
 * The items of an async iterable. Once nobody reads it any more, its `return` is called, but not awaited while an item is
 * pending: a generator ends only after that item, and perhaps never. (`Stream.fromAsyncIterable` waits.)
 */
const fromAsyncIterable = <A>(items: AsyncIterable<A>): Stream.Stream<A> =>
  Stream.unwrapScoped(Effect.suspend(() => {
    const iterator = items[Symbol.asyncIterator]()
    let owes = false
    const next = Effect.suspend(() => {
      owes = true
      return Effect.promise(() => iterator.next())
    }).pipe(Effect.flatMap((result) => {
      owes = false
      return result.done === true ? Effect.fail(Option.none()) : Effect.succeed(result.value)
    }))
    const finish = Effect.tryPromise(() => Promise.resolve(iterator.return?.())).pipe(
      Effect.catchAll((error) => Effect.logDebug("A list of files failed when it was closed.", error)),
      Effect.asVoid
    )
    return Effect.as(
      Effect.addFinalizer(() => owes ? Effect.asVoid(Effect.forkDaemon(Effect.interruptible(finish))) : finish),
      Stream.repeatEffectOption(next)
    )
  }))

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
    // In batches: item by item, the queue would cost more than everything else done for the list.
    const queue = yield* Queue.unbounded<ReadonlyArray<A> | typeof end>()
    const room = InFlight.make(Math.max(1, lookahead))
    let exit: Exit.Exit<void, E> = succeeded
    let batch: ReadonlyArray<A> | typeof end = []
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
        Effect.zipRight(Effect.forkDaemon(Effect.interruptible(Queue.offer(queue, end))))
      )
    }
    const reader = yield* Stream.runForEachChunk(stream, (chunk) => {
      const items = Chunk.toReadonlyArray(chunk)
      counter.found(items)
      return Effect.zipRight(room.take(items.length, () => {}), Queue.offer(queue, items))
    }).pipe(Effect.onExit(ended), Effect.interruptible, Effect.forkDaemon)
    const close = yield* Effect.cached(Effect.uninterruptible(Effect.suspend(() => {
      reader.unsafeInterruptAsFork(FiberId.none)
      return Effect.zipRight(Queue.shutdown(queue), endedWithin(reader, closeMillis))
    })))
    yield* Effect.addFinalizer(() => close)
    const unsafePull = () => batch === end ? end : next < batch.length ? batch[next++]! : pending
    const pull: Effect.Effect<A | typeof end> = Effect.suspend(() => {
      if (batch !== end) room.unsafeRelease(batch.length)
      batch = []
      next = 0
      return Queue.take(queue).pipe(
        // Closing the list shuts the queue down.
        Effect.catchAllCause(() => Effect.succeed(end)),
        Effect.flatMap((taken) => {
          batch = taken
          const item = unsafePull()
          return item === pending ? pull : Effect.succeed(item)
        })
      )
    })
    return {
      unsafePull,
      mayHaveMore: () => batch !== end,
      pull,
      close,
      exit: () => exit
    }
  })
