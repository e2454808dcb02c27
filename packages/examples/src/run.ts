import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import type { Effect } from "effect"
import { realpathSync } from "node:fs"
import { pathToFileURL } from "node:url"

/**
 * Runs a program if its file was started, but not if a test imports it:
 * `runMain(import.meta.url, program)`. Ctrl-C interrupts the program, which then cleans up.
 */
export const runMain = <A, E>(url: string, program: Effect.Effect<A, E>): void => {
  const started = process.argv[1]
  if (started !== undefined && url === pathToFileURL(realpathSync(started)).href) NodeRuntime.runMain(program)
}
