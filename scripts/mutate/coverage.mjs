// Which tests reach which mutants, and how long each test takes. It is kept in `build/mutate`, and a test file runs
// again when it changes. A change in what tests share is not noticed: coverage only decides where to look for a
// failure.
import * as fs from "node:fs"
import * as path from "node:path"
import { digestOf, distances } from "./tree.mjs"

/** Files per process. An interrupted run repeats at most so many. */
const filesAtOnce = 15

/** Runs the test files whose coverage is unknown, and returns a function from a mutant to the tests for it. */
export const cover = async ({ files, key, ran, root, runner, work }) => {
  const file = path.join(work, `coverage-${key}.json`)
  const log = path.join(work, "coverage.log")
  const known = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, "utf8")) : { files: {} }
  const unknown = files.filter((test) => known.files[test]?.digest !== digestOf(root, test))
  for (let first = 0; first < unknown.length; first += filesAtOnce) {
    const chunk = unknown.slice(first, first + filesAtOnce)
    fs.rmSync(log, { force: true })
    const { errors, tests } = await runner.run(chunk, { coverage: log, silence: 600_000 })
    if (tests.length === 0) {
      throw new Error(`Without mutants nothing runs: ${errors.map(({ message }) => message).join("\n")}`)
    }
    for (const test of chunk) known.files[test] = { digest: digestOf(root, test), tests: {}, loads: [] }
    for (const { file, name, seconds, state } of tests) {
      if (state === "passed") known.files[file].tests[name] = { seconds, hits: [] }
    }
    const lines = fs.existsSync(log)
      ? fs.readFileSync(log, "utf8").trim().split("\n").filter((line) => line !== "")
      : []
    for (const [[absolute, name], hits] of lines.map((line) => JSON.parse(line))) {
      const of = known.files[path.relative(path.join(work, "tree"), absolute).replaceAll(path.sep, "/")]
      if (of === undefined) continue
      if (name === null) of.loads.push(...hits)
      else of.tests[name]?.hits.push(...hits)
    }
    fs.writeFileSync(file, JSON.stringify(known))
    ran(Math.min(first + filesAtOnce, unknown.length), unknown.length, tests.filter(({ state }) => state === "failed"))
  }
  const away = distances(root, files)
  const loads = new Set(files.flatMap((test) => known.files[test].loads))
  const entries = files.map((test) => ({ test, away: away.get(test), ...known.files[test] }))

  /**
   * The tests that may fail because of a mutant, nearest first. If it is reached while a module loads or in a hook,
   * these are all tests that import the module.
   */
  return ({ file, id }) => {
    const own = file.replace("/src/", "/test/").replace(/\.ts$/, ".")
    return entries.flatMap(({ away, test, tests }) => {
      const distance = away.get(file) ?? Infinity
      const all = loads.has(id) && distance < Infinity
      const names = Object.entries(tests).filter(([, { hits }]) => all || hits.includes(id))
      if (names.length === 0) return []
      return [{
        test,
        isOwn: test.startsWith(own),
        distance,
        names: names.map(([name, { seconds }]) => ({ name, seconds })).sort((a, b) => a.seconds - b.seconds),
        seconds: names.reduce((sum, [, { seconds }]) => sum + seconds, 0)
      }]
    }).sort((a, b) => Number(b.isOwn) - Number(a.isOwn) || a.distance - b.distance || a.seconds - b.seconds)
  }
}
