// Loaded into processes that a test starts: reports at their end which mutants they reached.
const fs = require("node:fs")

const log = process.env.SLUICE_MUTATE_COVERAGE
const test = process.env.SLUICE_MUTATE_TEST

if (log !== undefined && test !== undefined) {
  process.on("exit", () => {
    const hits = Object.keys(globalThis.__stryker__?.mutantCoverage?.static ?? {})
    if (hits.length > 0) fs.appendFileSync(log, `${JSON.stringify([JSON.parse(test), hits])}\n`)
  })
}
