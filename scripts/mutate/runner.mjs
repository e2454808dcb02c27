// Runs tests in a process that is killed, with everything it started, when it reports nothing for too long.
import { fork, spawnSync } from "node:child_process"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("tests.mjs", import.meta.url))

/** How long the process may take to start, in milliseconds. */
const startMillis = 120_000

const descendants = (pid) => {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
  const pairs = stdout.trim().split("\n").map((line) => line.trim().split(/\s+/).map(Number))
  const all = [pid]
  for (const parent of all) for (const [child, of] of pairs) if (of === parent) all.push(child)
  return all
}

const kill = (child) => {
  for (const pid of descendants(child.pid)) {
    try {
      process.kill(pid, "SIGKILL")
    } catch {
      // It has ended.
    }
  }
}

/** The next message that is not a heartbeat; `undefined` after a silence, or when the process ends. */
const answer = (child, silence) =>
  new Promise((resolve) => {
    const end = (message) => {
      clearTimeout(timer)
      for (const event of ["message", "exit", "error"]) child.removeAllListeners(event)
      resolve(message)
    }
    const timer = setTimeout(end, silence)
    child.on("message", (message) => message === "heard" ? timer.refresh() : end(message))
    child.on("exit", () => end(undefined))
    child.on("error", () => end(undefined))
  })

export const start = (tree, work) => {
  let running = undefined

  const begin = async () => {
    const child = fork(program, [tree, path.join(work, "tmp")], { cwd: tree })
    if (await answer(child, startMillis) === undefined) {
      throw new Error("The process that runs the tests does not start.")
    }
    return child
  }

  /**
   * Runs test files in the given order, with all their tests or those in `names`. `silence` is how long they may report
   * nothing, in milliseconds; with `bail: 1` the first failure ends the run.
   */
  const run = async (files, { bail = 0, coverage, mutant, names, silence }) => {
    running ??= await begin()
    running.send({ files, bail, coverage, mutant, names })
    const result = await answer(running, silence)
    if (result !== undefined) {
      return { ...result, timedOut: false, failed: result.tests.filter(({ state }) => state === "failed") }
    }
    kill(running)
    running = undefined
    return { timedOut: true, tests: [], errors: [], failed: [] }
  }

  return { run, close: () => running?.disconnect() }
}
