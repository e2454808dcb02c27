/**
 * Runs seeds: `npm run simulate:faults -- --seeds 10000 [--seed N] [--parallel 2]`. With `--seed N --seeds 1` one seed is
 * run again, and with `--story` it tells all that happened.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import * as Bundle from "../support/Bundle.js"
import * as SeedWorkers from "./SeedWorkers.js"

const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== "--"),
  options: {
    seeds: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
    parallel: { type: "string", default: "2" },
    story: { type: "boolean", default: false }
  }
})

const print = (line: string) => process.stdout.write(`${line}\n`)
const root = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-faults-"))
const startedAt = Date.now()
const count = Number(values.seeds)
const found = await SeedWorkers.run(await Bundle.make("faults/seedWorker.ts", root), {
  first: Number(values.seed),
  count,
  parallel: Math.min(count, Number(values.parallel)),
  onFailing: ({ seed, strategy, violations }) => {
    const [{ message, promise } = { message: "", promise: "lost" }] = violations
    print(
      `seed ${seed} (${strategy}): ${promise}: ${message}${
        violations.length > 1 ? ` (and ${violations.length - 1} more)` : ""
      }; again: npm run simulate:faults -- --seeds 1 --seed ${seed} --story`
    )
  },
  onLine: values.story ? print : undefined
})
fs.rmSync(root, { recursive: true, force: true })

const { consumed, cpuSeconds, failing, remaining, sums } = found
const names = [...new Set([...consumed.keys(), ...remaining.keys()])].sort()
const widest = Math.max(0, ...names.map(({ length }) => length))
print(`${"fault".padEnd(widest)}   struck   not reached`)
for (const name of names) {
  print(
    `${name.padEnd(widest)}   ${String(consumed.get(name) ?? 0).padStart(6)}   ${
      String(remaining.get(name) ?? 0).padStart(11)
    }`
  )
}
const broken = (promise: string) =>
  failing.filter(({ violations }) => violations.some((one) => one.promise === promise))
print("")
print(
  `${sums.seeds} seeds, ${sums.processes} processes, ${sums.kills} of them killed, ${sums.uploads} uploads, ` +
    `${sums.requests} requests, ${sums.faults} faults (at least ${sums.fewest} a seed) in ` +
    `${((Date.now() - startedAt) / 1000).toFixed(0)} s, ${cpuSeconds.toFixed(0)} s of CPU`
)
print(
  ["lost", "corrupted", "duplicated", "orphaned", "leaked", "bounds", "progress", "order"]
    .map((promise) => `${promise} ${broken(promise).length}`)
    .join(", ")
)
process.exitCode = failing.length > 0 || sums.fewest < 20 ? 1 : 0
