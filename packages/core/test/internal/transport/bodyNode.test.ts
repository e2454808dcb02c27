import { assert, describe, it } from "@effect/vitest"
import type { Transport } from "@sluice/core"
import * as AtOnce from "@sluice/core/unstable/AtOnce"
import { Effect, Fiber, Stream, TestClock } from "effect"
import { BlockSize, blocksOf, withBody } from "../../../src/internal/transport/bodyNode.js"
import * as TestBody from "../../support/TestBody.js"

const KiB = 1024
const MiB = 1024 * KiB

const request = (size: number, url = "http://127.0.0.1/a"): Transport.Request => ({
  method: "PUT",
  url,
  headers: {},
  body: TestBody.make(new Uint8Array(size), { inOnePiece: size <= MiB, largestBlock: Infinity })
})

const answer: Transport.Answer = { status: 200, headers: {}, body: new Uint8Array() }

/** Sends a number of bytes in a given time, and returns the pieces in which they were written. */
const pieces = (
  blockSize: BlockSize,
  size: number,
  millis: number,
  result: Effect.Effect<Transport.Answer> = Effect.succeed(answer)
) =>
  Effect.gen(function*() {
    const written: Array<number> = []
    const note = (block: Uint8Array) => Effect.sync(() => void written.push(block.length))
    const fiber = yield* Effect.fork(Effect.exit(withBody(request(size), blockSize, (_, sent) => {
      if (sent === null) return result
      const all = sent instanceof Uint8Array ? note(sent) : Stream.runForEach(blocksOf(sent, () => assert.fail()), note)
      return all.pipe(Effect.zipRight(Effect.sleep(millis)), Effect.zipRight(result))
    })))
    // Readables emit their events in ticks of the process.
    while (written.reduce((sum, length) => sum + length, 0) < size) {
      yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
    }
    yield* TestClock.adjust(millis)
    yield* Fiber.join(fiber)
    return written
  })

describe("blocks that are written", () => {
  it.effect("hold as much as moves in a second, so that a slow link has small ones", () =>
    Effect.gen(function*() {
      const blockSize = new BlockSize()
      assert.deepStrictEqual(yield* pieces(blockSize, MiB, 10_000), [512 * KiB, 512 * KiB], "nothing is known yet")
      // A tenth of a MiB a second.
      const tenth = Math.floor(MiB / 10)
      assert.deepStrictEqual(yield* pieces(blockSize, 256 * KiB, 32_000), [tenth, tenth, 256 * KiB - 2 * tenth])
      assert.deepStrictEqual(yield* pieces(blockSize, 256 * KiB, 10), Array.from({ length: 4 }, () => 64 * KiB))
      assert.deepStrictEqual(yield* pieces(blockSize, MiB, 100), [MiB], "in one piece on a quick link")
      assert.deepStrictEqual(yield* pieces(blockSize, 12 * MiB, 100), [8 * MiB, 4 * MiB])
    }))

  it.effect("are a whole body in memory, if it is no larger and the bandwidth allows it", () =>
    Effect.gen(function*() {
      const bytes = new Uint8Array(3 * MiB)
      const sent = (blockSize: BlockSize, isLet: boolean) => {
        const written: Array<number> = []
        const body = { ...TestBody.make(bytes), [AtOnce.body]: () => isLet ? bytes : undefined }
        return withBody({ ...request(0), body }, blockSize, (_, given) => {
          const blocks = given instanceof Uint8Array
            ? Stream.succeed(given)
            : blocksOf(given ?? assert.fail(), () => assert.fail())
          return Effect.as(Stream.runForEach(blocks, (block) => Effect.sync(() => written.push(block.length))), answer)
        }).pipe(Effect.as(written))
      }
      const quick = new BlockSize()
      quick.ended(64 * MiB, 1)
      assert.deepStrictEqual(yield* sent(quick, true), [3 * MiB])
      assert.deepStrictEqual(yield* sent(quick, false), Array.from({ length: 6 }, () => 512 * KiB))
      assert.deepStrictEqual(yield* sent(new BlockSize(), true), Array.from({ length: 6 }, () => 512 * KiB))
    }))

  it.effect("are small after a failure", () =>
    Effect.gen(function*() {
      const blockSize = new BlockSize()
      yield* pieces(blockSize, MiB, 1_000, Effect.die("broken"))
      assert.deepStrictEqual(yield* pieces(blockSize, 128 * KiB, 1), [64 * KiB, 64 * KiB])
    }))

  it.effect("learn nothing of small bodies, which are in one piece always", () =>
    Effect.gen(function*() {
      const blockSize = new BlockSize()
      assert.deepStrictEqual(yield* pieces(blockSize, 4 * KiB, 60_000), [4 * KiB])
      assert.deepStrictEqual(yield* pieces(blockSize, 0, 60_000), [0])
      assert.deepStrictEqual(yield* pieces(blockSize, 512 * KiB, 1), [512 * KiB])
    }))

  it("are no larger than a MiB if they are encrypted", () => {
    const blockSize = new BlockSize()
    blockSize.ended(64 * MiB, 1)
    assert.deepStrictEqual(
      ["http://127.0.0.1/a", "https://127.0.0.1/a"].map((url) => blockSize.of(request(1, url))),
      [8 * MiB, MiB]
    )
  })
})
