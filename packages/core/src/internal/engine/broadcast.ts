/**
 * Publishes every value to every reader, and waits for slow ones. Without readers, publishing costs nothing.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Restore } from "../calls/ended.js"

const capacity = 256

export class Broadcast<A> {
  /** Created for the first reader: most runs have none. */
  private pubsub: PubSub.PubSub<Option.Option<A>> | undefined = undefined
  /** Open when a reader may have room. */
  private readonly room = Effect.unsafeMakeLatch(true)
  private readers = 0
  private ended = false

  get listening(): boolean {
    return this.readers > 0
  }

  /**
   * Waits until every reader has room. An interruption ends only the wait. (A wait inside the `PubSub` could be
   * interrupted after it has taken the value, which would then be published twice.)
   */
  publish(value: A, restore: Restore): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.ended || this.pubsub === undefined || this.pubsub.unsafeOffer(Option.some(value))) return Effect.void
      this.room.unsafeClose()
      return Effect.matchCauseEffect(restore(this.room.await), {
        onSuccess: () => this.publish(value, restore),
        onFailure: () => Effect.sync(() => this.unsafePublish(value))
      })
    })
  }

  /** Never waits: a reader without room misses the value. */
  unsafePublish(value: A): void {
    this.pubsub?.unsafeOffer(Option.some(value))
  }

  /** Ends every reader's stream after the published values. */
  end: Effect.Effect<unknown> = Effect.suspend(() => {
    this.ended = true
    this.room.unsafeOpen()
    return this.pubsub === undefined ? Effect.void : this.pubsub.publish(Option.none())
  })

  /** Ends every reader's stream without waiting: a reader without room misses what it has not read. */
  unsafeEnd: Effect.Effect<void> = Effect.suspend(() => {
    this.ended = true
    this.room.unsafeOpen()
    return this.pubsub === undefined || this.pubsub.unsafeOffer(Option.none()) ? Effect.void : this.pubsub.shutdown
  })

  /** Subscribes at once: what is published from here on is in the stream. */
  subscribed: Effect.Effect<Stream.Stream<A>, never, Scope.Scope> = Effect.suspend(() => {
    if (this.ended) return Effect.succeed(Stream.empty)
    return Effect.gen(this, function*() {
      this.pubsub ??= yield* PubSub.bounded<Option.Option<A>>(capacity)
      // After its subscription has ended, a reader that leaves holds nobody up.
      yield* Effect.addFinalizer(() => Effect.sync(() => this.room.unsafeOpen()))
      const subscription = yield* PubSub.subscribe(this.pubsub)
      this.readers += 1
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          this.readers -= 1
        })
      )
      return Stream.fromQueue(subscription).pipe(
        Stream.mapChunks((chunk) => {
          this.room.unsafeOpen()
          return chunk
        }),
        Stream.takeWhile(Option.isSome),
        Stream.map((value) => value.value)
      )
    })
  })

  stream: Stream.Stream<A> = Stream.unwrapScoped(this.subscribed)
}
