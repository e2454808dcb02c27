/**
 * The command line in this process, for what need not be another one: what it does, says and answers for its arguments,
 * its directory and its environment. What a process has of its own stays with `Sluice.ts`: signals, streams and their
 * readers, locks, the exit, and what a secret may slip through to.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Effect, Layer, Option } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Cli from "../../src/Cli.js"
import * as Output from "../../src/terminal/Output.js"
import * as Style from "../../src/terminal/Style.js"
import * as Sluice from "./Sluice.js"

export const PlatformLayer = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer)

export interface Options {
  /** The working directory. Defaults to one of its own, as for a process. */
  readonly cwd?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  /** The width of the terminal. Without it there is no terminal. */
  readonly columns?: number | undefined
  readonly style?: Style.Style | undefined
}

export interface Ended {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `sluice` with these arguments, and gives its exit code and what it printed. */
export const run = (args: ReadonlyArray<string>, options: Options = {}): Effect.Effect<Ended> =>
  Effect.gen(function*() {
    const { columns, style = Style.plain } = options
    const printed = { stdout: "", stderr: "" }
    const sink = (name: "stdout" | "stderr"): Output.Sink =>
      Output.make({
        write: (text) =>
          Effect.sync(() => {
            printed[name] += text
          }),
        flush: Effect.void,
        closed: () => false,
        failure: Option.none,
        isTerminal: columns !== undefined,
        style,
        size: () => ({ columns: columns ?? 80, rows: 24 })
      })
    const exitCode = yield* Effect.provideService(Cli.run(args), Output.Output, {
      stdout: sink("stdout"),
      stderr: sink("stderr")
    })
    return { exitCode, ...printed }
  }).pipe(Effect.provide(PlatformLayer), surroundedBy(options))

// One after the other: directory and environment are those of this process.
const alone = Effect.unsafeMakeSemaphore(1).withPermits(1)

const surroundedBy = ({ cwd, env = {} }: Options) => <A>(run: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const before = { cwd: process.cwd(), env: { ...process.env } }
      const own = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-own-"))
      for (const name of ["cwd", "state"]) fs.mkdirSync(path.join(own, name))
      become({
        cwd: cwd ?? path.join(own, "cwd"),
        env: Sluice.environment({ XDG_STATE_HOME: path.join(own, "state"), ...env })
      })
      return { before, own }
    }),
    () => run,
    ({ before, own }) =>
      Effect.sync(() => {
        become(before)
        fs.rmSync(own, { recursive: true, force: true, maxRetries: 3 })
      })
  ).pipe(alone)

const become = ({ cwd, env }: { readonly cwd: string; readonly env: NodeJS.ProcessEnv }) => {
  process.chdir(cwd)
  for (const name of Object.keys(process.env)) if (env[name] === undefined) delete process.env[name]
  Object.assign(process.env, env)
}
