// Mutation testing: `npm run mutate -- --sample 200 --seed 1` makes 200 small changes to the sources, one at a time,
// and prints those that no test notices.
//
// The mutants are Stryker's (`@stryker-mutator/instrumenter`), without those of string literals, which are mostly
// messages. Stryker's own runner does not fit: it has no seeded sample, runs tests in threads, does not reach processes
// that tests start, and starts with the slowest tests. Here each mutant runs in a new process, in a copy of the tree,
// and is active from the start of that process and of all that it starts, so mutants at the top level of modules count.
// It meets the quick tests that reach it, those of its own module first and then from near to far, until one fails;
// survivors then meet the long tests. A mutant of a package is tested by that package's tests.
//
//   --sample N      the number of mutants. Defaults to 200. A larger sample begins with all of a smaller one
//   --seed S        the seed of the draw. Defaults to 1
//   --package NAME  core or cli. Defaults to both. Core's test kit, `testing`, is left out
//   --file TEXT     only mutants of files whose paths contain it
//   --seconds N     the budget of quick tests for each mutant, in seconds that they take without it. Defaults to 60
//   --long N        the same for long tests. Defaults to 60; 0 skips them
//   --all           tries mutants again that are known to be killed
//
// Results are kept in `build/mutate`, so an interrupted run continues. A mutant is tried again when its file changes
// or, if it survived, when any source or test changes. Tests that report nothing for 20 seconds plus five times the
// duration of the longest of them have timed out, which counts as killed. A failure outside the module's own tests
// counts only if the same tests pass without the mutant. Runs share the copy, so there can be only one at a time.
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { cover } from "./coverage.mjs"
import { digest, draw, named } from "./draw.mjs"
import { instrumented, mutantsOf } from "./instrument.mjs"
import { start } from "./runner.mjs"
import { copy, digestOf, filesBelow } from "./tree.mjs"

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))))
const work = path.join(root, "build", "mutate")
const tree = path.join(work, "tree")
const resultsFile = path.join(work, "results.json")

const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== "--"),
  options: {
    sample: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    package: { type: "string", multiple: true, default: ["core", "cli"] },
    file: { type: "string", default: "" },
    seconds: { type: "string", default: "60" },
    long: { type: "string", default: "60" },
    all: { type: "boolean", default: false }
  }
})

const number = (name) => {
  const value = Number(values[name])
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} takes a whole number.`)
  return value
}
const [sample, seed, seconds, longSeconds] = ["sample", "seed", "seconds", "long"].map(number)

const say = (line) => console.log(line)
const began = performance.now()
const run = Date.now()
const minutes = () => ((performance.now() - began) / 60_000).toFixed(1)

const sources = values.package.flatMap((name) => filesBelow(root, `packages/${name}/src`))
  .filter((file) => !file.startsWith("packages/core/src/testing/"))
const tests = values.package.flatMap((name) => filesBelow(root, `packages/${name}/test`))
const testFiles = tests.filter((file) => file.endsWith(".test.ts") && !/\/test\/(servers|house)\//.test(file))
const isLong = (file) => file.endsWith(".long.test.ts")
const packageOf = (file) => file.split("/")[1]

const all = named(await mutantsOf(root, sources))
const chosen = draw(all.filter(({ file }) => file.includes(values.file)), { sample, seed })
say(`${all.length} mutants of ${sources.length} files; ${chosen.length} drawn by seed ${seed}`)

fs.mkdirSync(work, { recursive: true })
copy(root, tree, await instrumented(root, sources, chosen))

const digests = new Map([...sources, ...tests].map((file) => [file, digestOf(root, file)]))
const everything = digest(...digests.values())
const results = fs.existsSync(resultsFile) ? JSON.parse(fs.readFileSync(resultsFile, "utf8")) : {}
const isKilled = ({ status }) => status === "killed" || status === "timed out"
/** The result of a stage for a mutant, if it is still valid. */
const known = (mutant, { budget, name }) => {
  const result = results[mutant.name]
  if (result === undefined || result.digest !== digests.get(mutant.file)) return undefined
  const killed = Object.values(result.stages).find(isKilled)
  if (killed !== undefined) return values.all && killed.run !== run ? undefined : killed
  const found = result.stages[name]
  return found?.everything === everything && found.budget >= budget ? found : undefined
}
const keep = (mutant, { budget, name }, found) => {
  const now = digests.get(mutant.file)
  const stages = results[mutant.name]?.digest === now ? results[mutant.name].stages : {}
  results[mutant.name] = { digest: now, stages: { ...stages, [name]: { ...found, budget, everything, run } } }
  fs.writeFileSync(resultsFile, JSON.stringify(results, null, 1))
}

const place = ({ column, file, line }) => `${file}:${line}:${column}`
const short = (text) => {
  const line = text.replace(/\s+/g, " ")
  return line.length > 100 ? `${line.slice(0, 60)} ... ${line.slice(-30)}` : line
}

/**
 * The tests that fit the budget, in seconds: those of the module itself for up to half of it, then those of each file
 * for up to a tenth of it, nearest first, and then the rest.
 */
const within = (candidates, budget) => {
  const chosen = new Map(candidates.map((candidate) => [candidate, []]))
  let left = budget
  const choose = (candidate, most) => {
    let share = most
    for (const test of candidate.names) {
      if (test.seconds > Math.min(left, share) || chosen.get(candidate).includes(test)) continue
      chosen.get(candidate).push(test)
      left -= test.seconds
      share -= test.seconds
    }
  }
  for (const candidate of candidates) if (candidate.isOwn) choose(candidate, budget / 2)
  for (const candidate of candidates) choose(candidate, budget / 10)
  for (const candidate of candidates) choose(candidate, budget)
  return candidates.flatMap((candidate) => {
    const names = chosen.get(candidate)
    return names.length === 0 ? [] : [{ ...candidate, names }]
  })
}

const filesOf = (candidates) => candidates.map(({ test }) => test)
const namesOf = (candidates) => [...new Set(candidates.flatMap(({ names }) => names.map(({ name }) => name)))]
const silenceOf = (candidates) =>
  20_000 + 5_000 * Math.max(...candidates.flatMap(({ names }) => names.map(({ seconds }) => seconds)))

const attempt = async (runner, mutant, candidates) => {
  if (candidates.length === 0) return undefined
  const asked = { bail: 1, names: namesOf(candidates), silence: silenceOf(candidates) }
  const { errors, failed, timedOut } = await runner.run(filesOf(candidates), { ...asked, mutant: mutant.id })
  if (timedOut) return { status: "timed out", by: `one of ${candidates.length} files of tests` }
  const first = failed[0] ?? errors[0]
  if (first === undefined) return undefined
  const { file, message, name } = first
  if (name === undefined || !candidates.some(({ isOwn, test }) => isOwn && test === file)) {
    // It may not come from the mutant.
    const files = file === undefined ? filesOf(candidates) : [file]
    const names = name === undefined ? asked.names : [name]
    const without = await runner.run(files, { ...asked, names, silence: 300_000 })
    const [same] = [...without.failed, ...without.errors]
    if (same !== undefined) {
      say(`  also fails without a mutant: ${same.file}: ${same.name ?? same.message}`)
      return undefined
    }
  }
  return { status: "killed", by: `${file}: ${name ?? message}` }
}

const tryMutant = async (runner, mutant, candidates, budget) => {
  const chosen = within(candidates.filter(({ test }) => packageOf(test) === packageOf(mutant.file)), budget)
  const own = chosen.filter(({ isOwn }) => isOwn)
  const others = chosen.filter(({ isOwn }) => !isOwn)
  return await attempt(runner, mutant, own) ?? await attempt(runner, mutant, others) ??
    { status: candidates.length === 0 ? "not covered" : "survived", by: `${namesOf(chosen).length} tests` }
}

const runner = start(tree, work)
const key = digest(...chosen.map(({ file, id, name }) => `${id} ${name} ${digests.get(file)}`))
const coverOf = (name, files) =>
  cover({
    files,
    key,
    root,
    runner,
    work,
    ran: (done, all, failed) => {
      say(`  ${name} tests without mutants: ${done} of ${all} files (${minutes()} min)`)
      for (const { file, name } of failed) say(`  skipped, because it fails without a mutant: ${file}: ${name}`)
    }
  })

const stages = [
  { name: "quick", files: testFiles.filter((file) => !isLong(file)), budget: seconds },
  { name: "long", files: testFiles.filter(isLong), budget: longSeconds }
]
for (const stage of stages) {
  const { budget, files, name } = stage
  if (budget === 0) continue
  const left = chosen.filter((mutant) => {
    const found = stages.map((stage) => known(mutant, stage))
    return !found.some((found) => found !== undefined && isKilled(found)) && found[stages.indexOf(stage)] === undefined
  })
  say(`${name} tests: ${left.length} mutants to try; the results of the others are known`)
  if (left.length === 0) continue
  const candidatesOf = await coverOf(name, files)
  for (const [index, mutant] of left.entries()) {
    const start = performance.now()
    const found = await tryMutant(runner, mutant, candidatesOf(mutant), budget)
    keep(mutant, stage, found)
    const took = ((performance.now() - start) / 1000).toFixed(1)
    say(`${name} ${index + 1}/${left.length} ${found.status} ${place(mutant)} ${mutant.mutator} ${took} s; ${found.by}`)
  }
}
runner.close()

const counts = { killed: 0, "timed out": 0, survived: 0, "not covered": 0 }
for (const mutant of chosen) {
  const found = stages.map((stage) => known(mutant, stage)).filter((found) => found !== undefined)
  const { status } = found.find(isKilled) ?? found.find(({ status }) => status === "survived") ?? found[0] ??
    { status: "not covered" }
  counts[status] += 1
  if (status === "killed" || status === "timed out") continue
  say(`\n${status}: ${place(mutant)} (${mutant.mutator}, ${mutant.name})`)
  say(`  - ${short(mutant.original)}`)
  say(`  + ${short(mutant.replacement)}`)
}
const killed = counts.killed + counts["timed out"]
say(`\n${Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", ")} of ${chosen.length}`)
say(`${(100 * killed / chosen.length).toFixed(1)} % killed, in ${minutes()} minutes`)
process.exit(0)
