import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Bundle from "../support/Bundle.js"
import * as KillScenario from "./KillScenario.js"
import { localPoints, points } from "./Protocol.js"
import * as Summary from "./Summary.js"

vi.setConfig({ testTimeout: 240_000 })

const directory = Effect.acquireRelease(
  Effect.sync(() =>
    fs.mkdtempSync(path.join(fs.existsSync("/dev/shm") ? "/dev/shm" : fs.realpathSync(os.tmpdir()), "sluice-test-"))
  ),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

/** Every point, most of them at both destinations, and with it what else the seeds say. */
const scenarios = [
  ...points.map((point) => ({ kind: "local", point } as const)),
  ...points.filter((point) => !localPoints.has(point) && !/^(begun|abort begun|ending|journal renamed)$/.test(point))
    .map((point) => ({ kind: "http", point } as const))
].map((scenario, i) => ({ ...scenario, seed: i + 1 }))

describe("a process that is killed", () => {
  it.scopedLive("is followed by one that succeeds: all files equal, nothing orphaned, nothing sent twice", () =>
    Effect.gen(function*() {
      const root = yield* directory
      const child = yield* Effect.promise(() => Bundle.make("kill/UploadProcess.ts", root))
      const startedAt = Date.now()
      const outcomes = yield* Effect.forEach(scenarios, ({ kind, point, seed }, i) =>
        Effect.promise(async () => {
          const below = path.join(root, String(i))
          fs.mkdirSync(below)
          const outcome = await KillScenario.run({
            seed,
            kind,
            child,
            directory: below,
            point,
            large: { from: 1 << 20, to: 3 << 20 }
          })
          fs.rmSync(below, { recursive: true })
          return outcome
        }), { concurrency: 2 })
      process.stdout.write(`${Summary.render(outcomes, (Date.now() - startedAt) / 1000)}\n`)
      assert.deepStrictEqual(
        outcomes.flatMap(({ kind, problems, seed }) => problems.map((problem) => `${kind}, ${seed}: ${problem}`)),
        []
      )
      const kills = outcomes.flatMap(({ kills }) => kills)
      assert.isAtLeast(kills.length, 25)
      for (const point of points) {
        assert.include(kills.map((kill) => kill.point), point)
      }
    }))
})
