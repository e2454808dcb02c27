/**
 * Programs of `Bundle` in processes of their own, which say what they find in lines of JSON.
 */
import * as ChildProcess from "node:child_process"
import * as readline from "node:readline"

/** Runs a program with a task until it ends, which an abort brings about at once. */
export const run = <Line>(
  program: string,
  task: object,
  onLine: (line: Line) => void,
  signal?: AbortSignal
): Promise<void> =>
  new Promise((resolve, reject) => {
    const args = ["--max-semi-space-size=64", program, JSON.stringify(task)]
    const child = ChildProcess.spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
    signal?.addEventListener("abort", () => child.kill())
    readline.createInterface({ input: child.stdout }).on("line", (line) => onLine(JSON.parse(line) as Line))
    child.once("error", reject)
    child.once("close", (code, killedBy) =>
      code === 0 || signal?.aborted === true
        ? resolve()
        : reject(new Error(`A worker ended with ${code ?? killedBy}.`)))
  })
