import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Console, Effect, Random } from "effect"
import { format } from "node:util"

/** What a program came to: its value, what it printed, and how long it took by virtual time. */
export interface Transcript<A> {
  readonly value: A
  readonly lines: ReadonlyArray<string>
  readonly millis: number
}

/** Runs a program under virtual time, with the same randomness each time, and keeps what it prints. */
export const make = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<Transcript<A>, E, R> =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const console = yield* Console.consoleWith(Effect.succeed)
    const { millis, value } = yield* VirtualClock.run(program).pipe(
      Effect.withRandom(Random.make("examples")),
      Effect.withConsole({
        ...console,
        log: (...args) => Effect.sync(() => void lines.push(...format(...args).split("\n")))
      })
    )
    return { value, lines, millis }
  })
