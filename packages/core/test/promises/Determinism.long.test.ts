import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as SeedWorkers from "../faults/SeedWorkers.js"
import * as Bundle from "../support/Bundle.js"

// Each seed draws a strategy, a network, files, parts, a journal or none, and at least twenty faults; its story has a
// line with its virtual time for each operation of the engine, of storage and of the journal, and for each event.
describe("a seed", () => {
  it("has the same history twice, byte for byte, unlike any other seed", async () => {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-determinism-"))
    const seeds: Array<SeedWorkers.Repeated> = []
    try {
      const worker = await Bundle.make("faults/seedWorker.ts", root)
      await SeedWorkers.run(worker, { first: 1_001, count: 100, parallel: 2, onRepeated: (one) => seeds.push(one) })
    } finally {
      fs.rmSync(root, { recursive: true, force: true })
    }
    assert.deepStrictEqual(seeds.filter(({ difference }) => difference !== undefined), [])
    assert.strictEqual(seeds.length, 100)
    assert.strictEqual(new Set(seeds.map(({ history }) => history)).size, 100)
    for (const name of ["unlimited", "workerPool", "adaptive"]) {
      assert.isTrue(seeds.some(({ strategy }) => strategy.startsWith(name)), name)
    }
  }, 240_000)
})
