/**
 * The command line in this process, for what need not be another one.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Effect, Layer, Option } from "effect"
import * as Cli from "../../src/Cli.js"
import * as Output from "../../src/terminal/Output.js"
import * as Style from "../../src/terminal/Style.js"

export const PlatformLayer = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer)

export interface Screen {
  /** The width of the terminal. Without it there is no terminal. */
  readonly columns?: number | undefined
  readonly style?: Style.Style | undefined
}

/** Runs `sluice` with these arguments, and gives what it printed. */
export const run = (args: ReadonlyArray<string>, { columns, style = Style.plain }: Screen = {}) =>
  Effect.gen(function*() {
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
  }).pipe(Effect.provide(PlatformLayer))
