import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Console, Effect } from "effect"
import { format } from "node:util"

/** What a program came to: its value, and what it printed. */
export interface Transcript<A> {
  readonly value: A
  readonly lines: ReadonlyArray<string>
}

/** Runs a program and keeps what it prints. */
export const printed = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<Transcript<A>, E, R> =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const console = yield* Console.consoleWith(Effect.succeed)
    const value = yield* Effect.withConsole(program, {
      ...console,
      log: (...args) => Effect.sync(() => void lines.push(...format(...args).split("\n")))
    })
    return { value, lines }
  })

/** The same under virtual time, with the same randomness each time. */
export const virtual = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<Transcript<A>, E, R> =>
  Effect.map(VirtualClock.run(printed(program), { seed: "examples" }), ({ value }) => value)
