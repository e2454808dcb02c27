/**
 * Breaks promises on purpose, each in a copy of the sources, and proves that seeds find it: `npm run mutations [-- NAME]`.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Bundle from "../support/Bundle.js"
import { mutated, mutations } from "./Mutations.js"
import * as SeedWorkers from "./SeedWorkers.js"

const seeds = 1_000
const wanted = process.argv.slice(2).filter((arg) => arg !== "--").join(" ")
const root = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-mutations-"))
let survived = 0
for (const mutation of mutations.filter(({ name }) => name.includes(wanted))) {
  const worker = await Bundle.make("faults/seedWorker.ts", root, mutated(root, mutation))
  const { failing } = await SeedWorkers.run(worker, { first: 1, count: seeds, parallel: 2, stopsAtFirst: true })
  const first = failing.toSorted((a, b) => a.seed - b.seed)[0]
  if (first === undefined) survived += 1
  const told = first === undefined
    ? `NOT FOUND in ${seeds} seeds`
    : `seed ${first.seed}: ${first.violations[0]!.promise}: ${first.violations[0]!.message}`
  process.stdout.write(`${mutation.name.padEnd(46)} ${told}\n`)
}
fs.rmSync(root, { recursive: true, force: true })
process.exitCode = survived > 0 ? 1 : 0
