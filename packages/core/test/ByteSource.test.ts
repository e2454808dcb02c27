import { assert, describe, it } from "@effect/vitest"
import { ByteSource, UploadError } from "@sluice/core"
import { Effect, Stream } from "effect"
import * as fc from "fast-check"
import * as Property from "./support/Property.js"

const pattern = (offset: number, length: number) => Uint8Array.from({ length }, (_, i) => (offset + i) % 251)

const readAll = (source: ByteSource.ByteSource, range: ByteSource.Range) =>
  Effect.map(Stream.runCollect(source.read(range)), (blocks) => ByteSource.concat(Array.from(blocks)))

const sources: ReadonlyArray<readonly [name: string, make: (bytes: Uint8Array) => ByteSource.ByteSource]> = [
  ["fromBytes", ByteSource.fromBytes],
  ["generate", ({ length }) => ByteSource.generate(length, pattern)],
  ["fromBlob", (bytes) => ByteSource.fromBlob(new Blob([bytes]))]
]

describe("ByteSource", () => {
  for (const [name, make] of sources) {
    describe(name, () => {
      it.effect("knows its size, and can be read again and again", () =>
        Effect.gen(function*() {
          const bytes = pattern(0, 1_000)
          const source = make(bytes)
          assert.deepStrictEqual([source.size, source.reopenable, source.fingerprint], [1_000, true, undefined])
          for (let i = 0; i < 2; i++) {
            assert.deepStrictEqual(yield* readAll(source, { offset: 0 }), bytes)
            assert.deepStrictEqual(yield* source.bytes({ offset: 0 }), bytes)
          }
        }))

      it.effect("returns the existing bytes of any range, as a stream and in one piece", () =>
        Property.check(
          fc.record({
            size: fc.nat(40),
            offset: fc.nat(50),
            length: fc.option(fc.nat(50), { nil: undefined })
          }),
          ({ length, offset, size }) =>
            Effect.gen(function*() {
              const bytes = pattern(0, size)
              const expected = bytes.slice(offset, length === undefined ? undefined : offset + length)
              const range = length === undefined ? { offset } : { offset, length }
              assert.deepStrictEqual(Uint8Array.from(yield* make(bytes).bytes(range)), expected)
              assert.deepStrictEqual(Uint8Array.from(yield* readAll(make(bytes), range)), expected)
            }),
          200
        ))
    })
  }

  it.effect("fromBytes does not copy", () =>
    Effect.gen(function*() {
      const bytes = pattern(0, 10)
      const source = ByteSource.fromBytes(bytes)
      assert.strictEqual(yield* source.bytes({ offset: 0 }), bytes)
      assert.strictEqual((yield* source.bytes({ offset: 2, length: 3 })).buffer, bytes.buffer)
    }))

  it.effect("fromText is UTF-8", () =>
    Effect.gen(function*() {
      const source = ByteSource.fromText("hé€🎉")
      assert.strictEqual(source.size, 10)
      assert.strictEqual(new TextDecoder().decode(yield* source.bytes({ offset: 0 })), "hé€🎉")
    }))

  it.effect("fromBlob says that a blob cannot be read", () =>
    Effect.gen(function*() {
      const gone = new Error("gone")
      const blob = new Blob(["hello"])
      blob.slice = () =>
        Object.assign(new Blob([]), {
          arrayBuffer: () => Promise.reject(gone),
          stream: () => new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(gone) })
        })
      const source = ByteSource.fromBlob(blob)
      for (const read of [source.bytes({ offset: 0 }), readAll(source, { offset: 0 })]) {
        const error = yield* Effect.flip(read)
        assert.instanceOf(error, UploadError.SourceUnreadable)
        assert.deepStrictEqual([error._tag, "reason" in error && error.reason], ["SourceUnreadable", "Failed"])
      }
    }))

  describe("generate", () => {
    it.effect("gives zeros unless told otherwise", () =>
      Effect.gen(function*() {
        const source = ByteSource.generate(600_000)
        const bytes = yield* readAll(source, { offset: 0 })
        assert.strictEqual(bytes.length, 600_000)
        assert.isTrue(bytes.every((byte) => byte === 0))
        assert.deepStrictEqual(yield* source.bytes({ offset: 599_998 }), new Uint8Array(2))
      }))

    it.effect("requests blocks of at most 256 KiB, however it is read", () =>
      Effect.gen(function*() {
        const size = 1024 ** 2 + 5
        const asked: Array<readonly [offset: number, length: number]> = []
        const source = ByteSource.generate(size, (offset, length) => {
          asked.push([offset, length])
          return pattern(offset, length)
        })
        const streamed = yield* readAll(source, { offset: 0 })
        assert.deepStrictEqual(asked, [
          [0, 262_144],
          [262_144, 262_144],
          [524_288, 262_144],
          [786_432, 262_144],
          [1_048_576, 5]
        ])
        asked.length = 0
        const whole = yield* source.bytes({ offset: 0 })
        assert.deepStrictEqual([whole.length, streamed.length], [size, size])
        assert.isTrue(Buffer.from(whole).equals(streamed))
        assert.isAtMost(Math.max(...asked.map(([, length]) => length)), 262_144)
      }))

    it.effect("computes only what is read", () =>
      Effect.gen(function*() {
        let blocks = 0
        const source = ByteSource.generate(1024 ** 4, (_, length) => {
          blocks += 1
          return new Uint8Array(length)
        })
        yield* Stream.runDrain(Stream.take(source.read({ offset: 1024 ** 4 - 10 ** 9 }), 3))
        assert.strictEqual(blocks, 3)
      }))
  })

  describe("fromStream", () => {
    const once = (options?: { readonly size?: number }) => {
      let runs = 0
      const stream = Stream.suspend(() => {
        runs += 1
        return Stream.make(Uint8Array.of(1, 2), Uint8Array.of(), Uint8Array.of(3), Uint8Array.of(4, 5, 6))
      })
      return { source: ByteSource.fromStream(stream, options), runs: () => runs }
    }

    const consumed = (effect: Effect.Effect<unknown, UploadError.SourceError>) =>
      Effect.map(Effect.flip(effect), (error) => {
        assert.deepStrictEqual([error._tag, error.reason], ["SourceUnreadable", "Consumed"])
      })

    it.effect("can be read once", () =>
      Effect.gen(function*() {
        const { runs, source } = once()
        assert.deepStrictEqual([source.size, source.reopenable, source.fingerprint], [undefined, false, undefined])
        assert.strictEqual(once({ size: 6 }).source.size, 6)
        assert.strictEqual(runs(), 0)
        assert.deepStrictEqual(yield* readAll(source, { offset: 0 }), Uint8Array.of(1, 2, 3, 4, 5, 6))
        yield* consumed(readAll(source, { offset: 0 }))
        yield* consumed(source.bytes({ offset: 0 }))
        assert.strictEqual(runs(), 1)
      }))

    it.effect("can be read from its start only", () =>
      Effect.gen(function*() {
        const { runs, source } = once()
        yield* consumed(source.bytes({ offset: 1 }))
        assert.strictEqual(runs(), 0)
        // And that has not taken it.
        assert.strictEqual((yield* source.bytes({ offset: 0 })).length, 6)
      }))

    it.effect("returns as many bytes as requested, or fewer at its end", () =>
      Effect.gen(function*() {
        for (let length = 0; length <= 8; length++) {
          const expected = Uint8Array.of(1, 2, 3, 4, 5, 6).slice(0, length)
          assert.deepStrictEqual(yield* once().source.bytes({ offset: 0, length }), expected)
        }
      }))

    it.effect("counts as used from the moment it is read, even if its reader leaves", () =>
      Effect.gen(function*() {
        const { source } = once()
        yield* Stream.runDrain(Stream.take(source.read({ offset: 0 }), 1))
        yield* consumed(source.bytes({ offset: 0 }))
      }))

    it.effect("says that the stream failed, and why", () =>
      Effect.gen(function*() {
        const source = ByteSource.fromStream(Stream.concat(Stream.make(Uint8Array.of(1)), Stream.fail("torn")))
        const error = yield* Effect.flip(source.bytes({ offset: 0 }))
        assert.deepStrictEqual([error._tag, error.reason, error.cause], ["SourceUnreadable", "Failed", "torn"])
      }))
  })

  it("concat joins blocks", () => {
    const block = Uint8Array.of(1, 2)
    assert.deepStrictEqual(ByteSource.concat([]), new Uint8Array())
    assert.strictEqual(ByteSource.concat([block]), block)
    assert.deepStrictEqual(ByteSource.concat([block, new Uint8Array(), Uint8Array.of(3)]), Uint8Array.of(1, 2, 3))
  })
})
