import { assert, describe, it } from "@effect/vitest"
import { Checksum } from "@sluice/core"
import { Effect, Stream } from "effect"
import * as SameBytes from "../../src/verify/SameBytes.js"

const blocks = (...texts: ReadonlyArray<string>) =>
  Stream.fromIterable(texts.map((text) => new TextEncoder().encode(text))).pipe(Stream.rechunk(2))

const compare = (one: ReadonlyArray<string>, other: ReadonlyArray<string>) => {
  let noted = 0
  return Effect.map(
    SameBytes.compare(blocks(...one), blocks(...other), (bytes) => noted += bytes),
    (same) => ({ same, noted })
  )
}

describe("SameBytes", () => {
  it.effect("are the same however they are divided", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* compare(["abc", "", "def"], ["a", "bcde", "f"]), { same: true, noted: 6 })
      assert.deepStrictEqual(yield* compare([], [""]), { same: true, noted: 0 })
    }))

  it.effect("differ by a byte, or by the end", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* compare(["abc", "def"], ["ab", "cdeF"]), { same: false, noted: 3 })
      assert.deepStrictEqual(yield* compare(["abc"], ["ab"]), { same: false, noted: 2 })
      assert.deepStrictEqual(yield* compare(["abc"], ["abc", "d"]), { same: false, noted: 3 })
      assert.deepStrictEqual(yield* compare([], ["a"]), { same: false, noted: 0 })
    }))

  it.effect("fail with either side", () =>
    Effect.gen(function*() {
      const broken = Stream.concat(blocks("ab"), Stream.fail("broken"))
      assert.strictEqual(yield* Effect.flip(SameBytes.compare(broken, blocks("abc"), () => {})), "broken")
      assert.strictEqual(yield* Effect.flip(SameBytes.compare(blocks("abc"), broken, () => {})), "broken")
    }))

  it.effect("have a checksum", () =>
    Effect.gen(function*() {
      for (const algorithm of Checksum.algorithms) {
        assert.strictEqual(
          yield* SameBytes.checksum(blocks("123", "", "456789"), algorithm, () => {}),
          Checksum.of(algorithm, new TextEncoder().encode("123456789")).value
        )
      }
    }))
})
