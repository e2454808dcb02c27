/**
 * Kills processes that upload until so many were killed: `npm run kills -- --kills 500 [--destination local|http|both]
 * [--seed N]`. With `--seed` and `--kills 1` one scenario is done again.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import * as Bundle from "../support/Bundle.js"
import * as Dice from "../support/Dice.js"
import * as KillScenario from "./KillScenario.js"
import * as Summary from "./Summary.js"

const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== "--"),
  options: {
    kills: { type: "string", default: "500" },
    destination: { type: "string", default: "both" },
    seed: { type: "string" },
    parallel: { type: "string", default: "2" },
    // The process that is killed, bundled before: for while the sources are being edited.
    child: { type: "string" },
    keep: { type: "boolean", default: false }
  }
})

const wanted = Number(values.kills)
const kinds: ReadonlyArray<KillScenario.Kind> = values.destination === "both" ? ["local", "http"] : [
  values.destination as KillScenario.Kind
]

/* In memory if possible: the test kills processes, not disks. */
const root = fs.mkdtempSync(path.join(fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir(), "sluice-kills-"))
const child = values.child ?? await Bundle.make("kill/UploadProcess.ts", root)
const outcomes: Array<KillScenario.Outcome> = []
let next = Number(values.seed ?? Math.floor(Date.now() / 1000) % 1_000_000)
let kills = 0

const worker = async (): Promise<void> => {
  while (kills < wanted) {
    const seed = next++
    const dice = Dice.make(-seed)
    const kind = values.destination === "both" && dice.chance(0.1) ? "command line" : kinds[seed % kinds.length]!
    const directory = path.join(root, String(seed))
    fs.mkdirSync(directory)
    const outcome = await KillScenario.run({ seed, kind, child, directory, large: { from: 3 << 20, to: 12 << 20 } })
    kills += outcome.kills.length
    outcomes.push(outcome)
    for (const problem of outcome.problems) process.stdout.write(`seed ${seed} (${kind}): ${problem}\n`)
    if (outcome.problems.length > 0) {
      process.stdout.write(
        `  again: npm run kills -- --kills 1 --parallel 1 --destination ${values.destination} --seed ${seed}\n`
      )
    }
    if (values.keep) process.stdout.write(`  kept: ${directory}\n`)
    else fs.rmSync(directory, { recursive: true, force: true })
  }
}

const startedAt = Date.now()
await Promise.all(Array.from({ length: Number(values.parallel) }, worker))
if (!values.keep) fs.rmSync(root, { recursive: true, force: true })
process.stdout.write(`${Summary.render(outcomes, (Date.now() - startedAt) / 1000)}\n`)
process.exitCode = outcomes.some(({ problems }) => problems.length > 0) ? 1 : 0
