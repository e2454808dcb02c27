// Has tests run by a process, which is killed with all that it started when it says nothing for too long.
import { fork, spawnSync } from "node:child_process"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("tests.mjs", import.meta.url))

/** How long the process may take to begin, in milliseconds. */
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

/** The next message that says more than that something moves; `undefined` after a silence, or at the end of the process. */
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
      throw new Error("The process that runs the tests does not begin.")
    }
    return child
  }

  /**
   * Runs files in the order given: all their tests or those named. `silence` is how many milliseconds they may say
   * nothing; `bail` ends the run at the first failure.
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
