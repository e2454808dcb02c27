// Runs tests of the copy, each time in a new process, by a vitest that keeps what it compiled.
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { createVitest } from "vitest/node"

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** The name of a test as patterns match it. */
const fullName = (test) => test.parent.type === "suite" ? `${fullName(test.parent)} ${test.name}` : test.name

/** Keeps the order that is asked for. */
class AsAsked {
  sort = (files) => files
  shard = (files) => files
}

const descendants = (pid) => {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
  const pairs = stdout.trim().split("\n").map((line) => line.trim().split(/\s+/).map(Number))
  const all = [pid]
  for (const parent of all) for (const [child, of] of pairs) if (of === parent) all.push(child)
  return all
}

const kill = (pid) => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It has ended.
  }
}

export const start = async (tree, work) => {
  const pidFile = path.join(work, "worker.pid")
  const temporary = path.join(work, "tmp")
  process.env.SLUICE_MUTATE_PID = pidFile
  let heard = 0
  const hear = () => {
    heard = performance.now()
  }
  const reporter = { onTestModuleCollected: hear, onTestCaseReady: hear, onTestCaseResult: hear }
  const vitest = await createVitest("test", {
    root: tree,
    config: path.join(tree, "vitest.config.ts"),
    watch: false,
    reporters: [reporter],
    maxWorkers: 1,
    minWorkers: 1,
    sequence: { sequencer: AsAsked },
    onConsoleLog: () => false
  })
  process.exitCode = undefined
  // To its worker that was killed, vitest goes on to talk in vain.
  for (const event of ["unhandledRejection", "uncaughtException"]) {
    process.removeAllListeners(event)
    process.on(event, (error) => {
      if (!["EPIPE", "ERR_IPC_CHANNEL_CLOSED"].includes(error?.code)) throw error
    })
  }
  // What vitest itself keeps stays where it is.
  process.env.TMPDIR = temporary
  for (const project of vitest.projects) project.config.setupFiles.push(path.join(tree, "scripts/mutate/watched.mjs"))

  const pathIn = (file) => path.relative(tree, file).replaceAll(path.sep, "/")
  const projectOf = (file) => vitest.projects.find(({ name }) => file.startsWith(`packages/${name}/`))

  /**
   * Runs files in the order given: all their tests or those named. `silence` is how many milliseconds they may say
   * nothing; `bail` ends the run at the first failure.
   */
  const run = async (files, { bail = 0, coverage, mutant, names, silence }) => {
    const set = (name, value) => value === undefined ? delete process.env[name] : process.env[name] = value
    set("__STRYKER_ACTIVE_MUTANT__", mutant)
    set("SLUICE_MUTATE_COVERAGE", coverage)
    fs.rmSync(temporary, { recursive: true, force: true })
    fs.mkdirSync(temporary, { recursive: true })
    fs.rmSync(pidFile, { force: true })
    vitest.config.bail = bail
    for (const { config } of vitest.projects) {
      config.bail = bail
      config.testNamePattern = names === undefined ? undefined : new RegExp(`^(${names.map(escaped).join("|")})$`)
    }
    vitest.state.filesMap.clear()
    hear()
    const specifications = files.map((file) =>
      projectOf(file).createSpecification(path.join(tree, file), undefined, "forks")
    )
    let giveUp
    const given = new Promise((resolve) => {
      giveUp = () => resolve({ timedOut: true, tests: [], errors: [], failed: [] })
    })
    const watch = setInterval(() => {
      if (performance.now() - heard < silence || !fs.existsSync(pidFile)) return
      clearInterval(watch)
      for (const pid of descendants(Number(fs.readFileSync(pidFile, "utf8"))).reverse()) kill(pid)
      giveUp()
    }, 500)
    const ended = async () => {
      const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications, false)
      process.exitCode = undefined
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
      return { timedOut: false, tests, errors, failed: tests.filter(({ state }) => state === "failed") }
    }
    const result = await Promise.race([given, ended()])
    clearInterval(watch)
    await Promise.race([vitest.pool?.close?.(), new Promise((resolve) => setTimeout(resolve, 2_000))])
    vitest.pool = undefined
    // What was killed may never end for vitest.
    vitest.runningPromise = undefined
    return result
  }

  return { run, close: () => vitest.close() }
}
