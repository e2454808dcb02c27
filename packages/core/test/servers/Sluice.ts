/**
 * The command line as it was built, in a process of its own.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import * as path from "node:path"

const bin = path.resolve(import.meta.dirname, "../../../cli/dist/bin.js")

export interface Ended {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, with nothing of this process's environment but where programs are. */
export const runProgram = (
  program: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>>
): Effect.Effect<Ended> =>
  Effect.promise(() =>
    new Promise<Ended>((resolve, reject) => {
      const child = spawn(program, args, {
        env: { PATH: process.env["PATH"], ...env },
        stdio: ["ignore", "pipe", "pipe"]
      })
      const printed = { stdout: "", stderr: "" }
      for (const name of ["stdout", "stderr"] as const) {
        child[name].setEncoding("utf8").on("data", (text: string) => printed[name] += text)
      }
      child.on("error", reject)
      child.on("close", (exitCode) => resolve({ exitCode, ...printed }))
    })
  )

/** Runs `sluice` to its end. `home` is the directory for its journals. */
export const run = (
  args: ReadonlyArray<string>,
  { env = {}, home }: { readonly home: string; readonly env?: Readonly<Record<string, string>> }
): Effect.Effect<Ended> =>
  runProgram(process.execPath, [bin, ...args], { HOME: home, XDG_STATE_HOME: `${home}/state`, ...env })
