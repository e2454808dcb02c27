// Which tests come by which mutants, and how long each takes, kept in `build/mutate` for as long as a test's file is the
// same. What tests share is not looked at: what is kept says where to look for a failure, and nothing more.
import * as fs from "node:fs"
import * as path from "node:path"
import { digestOf, distances } from "./tree.mjs"

/** So many files have a process in common, and are run again when one of them is interrupted. */
const filesAtOnce = 15

/** Runs those of some test files that are not known yet, and gives what is known of all. */
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
   * The tests that may fail for a mutant, nearest first: for one that a module comes by as it is loaded, or a hook, all
   * tests that import that module.
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
