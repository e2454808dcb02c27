import { Effect } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcessByStdio } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { Readable, Writable } from "node:stream"

/** The built command line. `npm test` builds it first. */
const bin = path.resolve(import.meta.dirname, "../../dist/bin.js")

export interface Options {
  /** Where it is started. Defaults to a directory of its own: a relative path leads nowhere near the sources. */
  readonly cwd?: string | undefined
  readonly env?: Record<string, string> | undefined
  /** What standard input holds, or the file that it is. Defaults to nothing; `open` leaves it to the test. */
  readonly input?: string | { readonly open: true } | { readonly file: string } | undefined
  /** A shell redirection of its output: `> /dev/full`. */
  readonly redirect?: string | undefined
  /** A program that runs it, such as `nohup`. */
  readonly through?: ReadonlyArray<string> | undefined
}

export interface Ended {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  /** Waits until a text has appeared on standard error. */
  readonly says: (text: string) => Effect.Effect<void>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
}

/**
 * Where a process is started, and where its journals are, unless `XDG_STATE_HOME` says otherwise: never where the
 * user's are.
 */
const ownDirectories = Effect.acquireRelease(
  Effect.sync(() => {
    const own = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-own-"))
    for (const name of ["cwd", "state"]) fs.mkdirSync(path.join(own, name))
    return own
  }),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true, maxRetries: 3 }))
)

/**
 * The environment of these tests as a command gets it: without what their runner puts there. With `NODE_PATH`, Node
 * would find modules that it does not find where somebody runs the command.
 */
export const environment = (own: Readonly<Record<string, string | undefined>> = {}): NodeJS.ProcessEnv => {
  const { FORCE_COLOR: _, NODE_PATH: __, NO_COLOR: ___, ...env } = process.env
  return { ...env, ...own }
}

const exec = "exec \"$0\" \"$@\""

/** Starts `sluice` as a process, which ends with the scope. */
export const start = (
  args: ReadonlyArray<string>,
  options: Options = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.map(
    Effect.flatMap(ownDirectories, (own) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const { cwd = path.join(own, "cwd"), input, redirect = "", through = [] } = options
          const file = typeof input === "object" && "file" in input ? input.file : undefined
          const command = [...through, process.execPath, bin, ...args]
          const shell = [exec, ...(file === undefined ? [] : ["< \"$INPUT\""]), redirect].join(" ").trim()
          const [program = "", ...rest] = shell === exec ? command : ["sh", "-c", shell, ...command]
          return spawn(program, rest, {
            cwd,
            env: environment({ XDG_STATE_HOME: path.join(own, "state"), INPUT: file, ...options.env }),
            stdio: ["pipe", "pipe", "pipe"]
          })
        }),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )),
    (child) => {
      const printed = { stdout: "", stderr: "" }
      const watchers = new Set<() => void>()
      for (const name of ["stdout", "stderr"] as const) {
        child[name].setEncoding("utf8").on("data", (text: string) => {
          printed[name] += text
          for (const watch of watchers) watch()
        })
      }
      child.stdin.on("error", () => {})
      if (typeof options.input !== "object") child.stdin.end(options.input ?? "")
      const closed = new Promise<Ended>((resolve, reject) => {
        child.on("error", reject)
        child.on("close", (exitCode, signal) => resolve({ exitCode, signal, ...printed }))
      })
      return {
        child,
        says: (text) =>
          Effect.async<void>((resume) => {
            const watch = () => {
              if (!printed.stderr.includes(text)) return
              watchers.delete(watch)
              resume(Effect.void)
            }
            watchers.add(watch)
            watch()
          }),
        kill: (signal) => Effect.sync(() => child.kill(signal)),
        ended: Effect.promise(() => closed)
      }
    }
  )

/** Runs `sluice` to its end. */
export const run = (args: ReadonlyArray<string>, options?: Options): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(start(args, options), ({ ended }) => ended))

/** Lines of JSON, read. */
export const jsonLines = (text: string): ReadonlyArray<Record<string, unknown>> =>
  text.trimEnd().split("\n").map((line) => JSON.parse(line))
