// Runs tests of the copy for `runner.mjs`, each time in a new process. Vitest keeps compiled modules between runs.
import * as fs from "node:fs"
import * as path from "node:path"
import { createVitest } from "vitest/node"

const [tree, temporary] = process.argv.slice(2)

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** The name of a test that name patterns are matched with. */
const fullName = (test) => test.parent.type === "suite" ? `${fullName(test.parent)} ${test.name}` : test.name

const pathIn = (file) => path.relative(tree, file).replaceAll(path.sep, "/")

/** Keeps the given order. */
class AsAsked {
  sort = (files) => files
  shard = (files) => files
}

const hear = () => process.send("heard")

const vitest = await createVitest("test", {
  root: tree,
  config: path.join(tree, "vitest.config.ts"),
  watch: false,
  reporters: [{ onTestModuleCollected: hear, onTestCaseReady: hear, onTestCaseResult: hear }],
  maxWorkers: 1,
  minWorkers: 1,
  sequence: { sequencer: AsAsked },
  onConsoleLog: () => false
})
// Only tests use it: vitest's own temporary files stay where they are.
process.env.TMPDIR = temporary
for (const project of vitest.projects) project.config.setupFiles.push(path.join(tree, "scripts/mutate/watched.mjs"))

const specificationOf = (file) =>
  vitest.projects.find(({ name }) => file.startsWith(`packages/${name}/`))
    .createSpecification(path.join(tree, file), undefined, "forks")

const set = (name, value) => {
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}

const run = async ({ bail, coverage, files, mutant, names }) => {
  set("__STRYKER_ACTIVE_MUTANT__", mutant)
  set("SLUICE_MUTATE_COVERAGE", coverage)
  fs.rmSync(temporary, { recursive: true, force: true })
  fs.mkdirSync(temporary, { recursive: true })
  vitest.config.bail = bail
  for (const { config } of vitest.projects) {
    config.bail = bail
    config.testNamePattern = names === undefined ? undefined : new RegExp(`^(${names.map(escaped).join("|")})$`)
  }
  vitest.state.filesMap.clear()
  const { testModules, unhandledErrors } = await vitest.runTestSpecifications(files.map(specificationOf), false)
  // The next run gets a new process.
  await vitest.pool?.close?.()
  vitest.pool = undefined
  const tests = testModules.flatMap((module) =>
    Array.from(module.children.allTests(), (test) => ({
      file: pathIn(module.moduleId),
      name: fullName(test),
      state: test.result().state,
      seconds: (test.diagnostic()?.duration ?? 0) / 1000
    }))
  )
  const errors = [
    ...unhandledErrors.map((error) => ({ file: error?.VITEST_TEST_PATH, message: error?.message ?? error })),
    ...testModules.flatMap((module) => module.errors().map(({ message }) => ({ file: module.moduleId, message })))
  ].map(({ file, message }) => ({ file: file && pathIn(file), message: String(message).split("\n")[0] }))
  return { tests, errors }
}

process.on("message", (asked) => {
  run(asked).then((result) => process.send(result), (error) => {
    console.error(error)
    process.exit(1)
  })
})
process.on("disconnect", () => process.exit())
process.send("ready")
