import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as World from "./faults/World.js"

// Each seed draws a strategy, a network, files, parts, a journal or none, and at least twenty faults; its story has a
// line with its virtual time for each operation of the engine, of storage and of the journal, and for each event.
describe("a seed", () => {
  it.effect("has the same history twice, byte for byte, and no other seed has it", () =>
    Effect.gen(function*() {
      const histories = new Set<string>()
      const strategies = new Set<string>()
      for (let seed = 1_001; seed <= 1_100; seed++) {
        const first = yield* World.run(seed)
        const second = yield* World.run(seed)
        const history = first.story()
        assert.deepStrictEqual(second.story(), history, `seed ${seed}`)
        assert.deepStrictEqual(second.consumed, first.consumed, `seed ${seed}`)
        histories.add(history.join("\n"))
        strategies.add(first.strategy)
        // A test runner wants to hear of its tests now and then.
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      assert.strictEqual(histories.size, 100)
      assert.isTrue(
        ["unlimited", "workerPool", "adaptive"].every((name) =>
          Array.from(strategies).some((strategy) => strategy.startsWith(name))
        ),
        Array.from(strategies).join()
      )
    }), 240_000)
})
