/**
 * `JournalProcess` in processes of their own, which end with the scope.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import * as readline from "node:readline"
import * as Bundle from "./Bundle.js"
import * as TemporaryDirectory from "./TemporaryDirectory.js"

/** The program as one file, until the scope ends. */
export const program = Effect.flatMap(
  TemporaryDirectory.make,
  (directory) => Effect.promise(() => Bundle.make("support/JournalProcess.ts", directory))
)

/** Starts the program with these arguments. */
export const start = (program: string, args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [program, ...args], { stdio: ["pipe", "pipe", "inherit"] })
      const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      const exited = new Promise((resolve) => child.once("exit", resolve))
      return {
        process: child,
        nextLine: () => lines.next().then(({ value }) => value as string),
        /** What it said before it was killed, some time after it had said so much. */
        killedAfter: async (count: number) => {
          const said: Array<string> = []
          for (;;) {
            const { done, value } = await lines.next()
            if (done === true) break
            said.push(value)
            if (said.length === count) child.kill("SIGKILL")
          }
          // Its output ends before it does.
          await exited
          return said
        }
      }
    }),
    ({ process }) => Effect.sync(() => process.kill("SIGKILL"))
  )
