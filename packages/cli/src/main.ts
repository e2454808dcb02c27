/**
 * Runs the command in this process, with its signals, its streams and its exit code. `bin.ts` loads it.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { makeRunMain } from "@effect/platform/Runtime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cli from "./Cli.js"
import * as Output from "./terminal/Output.js"
import * as Signals from "./terminal/Signals.js"

// NodeRuntime.runMain interrupts at the first Ctrl-C; here the command itself handles signals.
const runMain = makeRunMain(({ fiber, teardown }) => {
  const keepAlive = setInterval(() => {}, 2 ** 31 - 1)
  fiber.addObserver((exit) => {
    clearInterval(keepAlive)
    teardown(exit, (code) => process.exit(code))
  })
})

Effect.zipRight(Signals.surviveHangup, Cli.run(process.argv.slice(2))).pipe(
  Effect.provide([NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer, Output.layerProcess]),
  runMain({
    // The command prints log messages itself.
    disablePrettyLogger: true,
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) && typeof exit.value === "number" ? exit.value : 1)
  })
)
