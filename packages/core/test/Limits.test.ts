import { assert, describe, it } from "@effect/vitest"
import { Limits } from "@sluice/core"
import { Cause, Effect, Exit } from "effect"

const settings: Limits.Settings = { concurrency: 4, uploadsPerSecond: 10, bytesPerSecond: 1_000 }

const made = () => {
  const changes: Array<readonly [Limits.Settings, string | undefined]> = []
  return { changes, limits: Limits.make(settings, (now, reason) => changes.push([now, reason])) }
}

describe("Limits", () => {
  it.effect("change alone or together, and report their values and the reason", () =>
    Effect.gen(function*() {
      const { changes, limits } = made()
      assert.deepStrictEqual(yield* limits.current, settings)
      assert.isUndefined(yield* limits.reason)
      yield* limits.set({ concurrency: 2 }, "It is late.")
      assert.deepStrictEqual(yield* limits.current, { ...settings, concurrency: 2 })
      assert.strictEqual(yield* limits.reason, "It is late.")
      yield* limits.set({ uploadsPerSecond: 5, bytesPerSecond: 10 })
      assert.deepStrictEqual(yield* limits.current, { concurrency: 2, uploadsPerSecond: 5, bytesPerSecond: 10 })
      assert.isUndefined(yield* limits.reason)
      assert.deepStrictEqual(changes, [
        [{ ...settings, concurrency: 2 }, "It is late."],
        [{ concurrency: 2, uploadsPerSecond: 5, bytesPerSecond: 10 }, undefined]
      ])
    }))

  it.effect("allow whole numbers of uploads: at least one, or none while paused", () =>
    Effect.gen(function*() {
      const { limits } = made()
      for (const [concurrency, expected] of [[0.5, 1], [2.9, 2], [0, 0], [1, 1], [Infinity, Infinity]] as const) {
        yield* limits.set({ concurrency })
        assert.strictEqual((yield* limits.current).concurrency, expected)
      }
    }))

  it.effect("stay unchanged if one of the values is invalid", () =>
    Effect.gen(function*() {
      const { changes, limits } = made()
      for (const wrong of [NaN, -1]) {
        for (const name of ["concurrency", "uploadsPerSecond", "bytesPerSecond"] as const) {
          const exit = yield* Effect.exit(limits.set({ concurrency: 1, uploadsPerSecond: 1, [name]: wrong }))
          assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof RangeError, `${name} ${wrong}`)
        }
      }
      assert.deepStrictEqual(yield* limits.current, settings)
      assert.deepStrictEqual(changes, [])
    }))
})

describe("Limits.forController", () => {
  it.effect("changes limits, but does not raise those that a caller has paused", () =>
    Effect.gen(function*() {
      const { changes, limits } = made()
      const controlled = Limits.forController(limits)
      const wanted = { concurrency: 8, uploadsPerSecond: 80, bytesPerSecond: 8_000 }
      yield* controlled.set(wanted, "faster")
      assert.deepStrictEqual(yield* limits.current, wanted)
      assert.strictEqual(yield* controlled.reason, "faster")
      for (const name of ["concurrency", "uploadsPerSecond", "bytesPerSecond"] as const) {
        yield* limits.set({ ...wanted, [name]: 0 }, "paused")
        yield* controlled.set({ concurrency: 3, uploadsPerSecond: 3, bytesPerSecond: 3 }, "slower")
        assert.deepStrictEqual(yield* limits.current, {
          concurrency: 3,
          uploadsPerSecond: 3,
          bytesPerSecond: 3,
          [name]: 0
        })
        const count = changes.length
        yield* controlled.set({ [name]: 5 }, "faster")
        assert.strictEqual(yield* limits.reason, "slower")
        assert.lengthOf(changes, count)
      }
    }))

  it.effect("changes only the given limits", () =>
    Effect.gen(function*() {
      const { limits } = made()
      for (const [name, value] of Object.entries({ concurrency: 7, uploadsPerSecond: 7, bytesPerSecond: 7 })) {
        const before = yield* limits.current
        yield* Limits.forController(limits).set({ [name]: value }, name)
        assert.deepStrictEqual(yield* limits.current, { ...before, [name]: value })
      }
    }))
})
