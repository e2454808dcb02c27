import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, identity, Stream } from "effect"
import { Broadcast } from "../../../src/internal/engine/broadcast.js"

describe("a broadcast", () => {
  it.effect("has listeners while its streams are read", () =>
    Effect.gen(function*() {
      const broadcast = new Broadcast<number>()
      assert.isFalse(broadcast.listening)
      const read = (count: number) => Effect.fork(Stream.runCollect(Stream.take(broadcast.stream, count)))
      const [one, two] = [yield* read(1), yield* read(2)]
      yield* Effect.repeatN(Effect.yieldNow(), 100)
      assert.isTrue(broadcast.listening)
      yield* broadcast.publish(1, identity)
      assert.deepStrictEqual(Array.from(yield* Fiber.join(one)), [1])
      assert.isTrue(broadcast.listening)
      yield* broadcast.publish(2, identity)
      assert.deepStrictEqual(Array.from(yield* Fiber.join(two)), [1, 2])
      assert.isFalse(broadcast.listening)
      const third = yield* read(3)
      yield* Effect.repeatN(Effect.yieldNow(), 100)
      assert.isTrue(broadcast.listening)
      yield* Fiber.interrupt(third)
      assert.isFalse(broadcast.listening)
    }))

  it.effect("ends its streams after the published values, and later streams at once", () =>
    Effect.gen(function*() {
      const broadcast = new Broadcast<number>()
      const reading = yield* Effect.fork(Stream.runCollect(broadcast.stream))
      yield* Effect.repeatN(Effect.yieldNow(), 100)
      broadcast.unsafePublish(1)
      yield* broadcast.end
      assert.deepStrictEqual(Array.from(yield* Fiber.join(reading)), [1])
      assert.deepStrictEqual(Array.from(yield* Stream.runCollect(broadcast.stream)), [])
      assert.isFalse(broadcast.listening)
    }))
})
