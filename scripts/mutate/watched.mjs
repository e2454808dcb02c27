// A setup file of the tests. When coverage is wanted, it reports which mutants each test reaches, including those
// reached by processes that inherit the test's environment.
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { afterAll, afterEach, beforeEach } from "vitest"

const log = process.env.SLUICE_MUTATE_COVERAGE

const fullName = (task) => task.suite ? `${fullName(task.suite)} ${task.name}` : task.name

if (log !== undefined) {
  const stryker = globalThis.__stryker__ ??= {}
  const coverage = stryker.mutantCoverage ??= { static: {}, perTest: {} }
  process.env.NODE_OPTIONS = `--require=${fileURLToPath(new URL("child.cjs", import.meta.url))}`
  let file
  beforeEach(({ task }) => {
    file = task.file.filepath
    stryker.currentTestId = process.env.SLUICE_MUTATE_TEST = JSON.stringify([file, fullName(task)])
  })
  afterEach(() => {
    stryker.currentTestId = undefined
    delete process.env.SLUICE_MUTATE_TEST
  })
  afterAll(() => {
    const entries = Object.entries(coverage.perTest).map(([test, hits]) => [JSON.parse(test), Object.keys(hits)])
    if (file !== undefined) entries.push([[file, null], Object.keys(coverage.static)])
    fs.appendFileSync(log, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""))
    coverage.static = {}
    coverage.perTest = {}
  })
}
