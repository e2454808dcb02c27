/**
 * The benchmarks' command line: `npm run bench -- [CONTEST ...] [--quick] [--check] [--json FILE]`.
 *
 * With `--measure CONTEST CONTESTANT FILES` it is the process that does one measurement, and prints it.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { parseArgs } from "node:util"
import * as Contest from "./Contest.js"
import * as Engine from "./contests/Engine.js"
import * as ForEach from "./contests/ForEach.js"
import * as Journal from "./contests/Journal.js"
import * as Large from "./contests/Large.js"
import * as List from "./contests/List.js"
import * as Memory from "./contests/Memory.js"
import * as Put from "./contests/Put.js"
import * as Unlimited from "./contests/Unlimited.js"
import * as Virtual from "./contests/Virtual.js"
import * as Measurement from "./Measurement.js"
import * as Profile from "./Profile.js"
import * as Table from "./Table.js"

const contests = [
  Engine.contest,
  ForEach.contest,
  Unlimited.contest,
  Virtual.contest,
  List.contest,
  Memory.contest,
  Journal.contest,
  Large.contest,
  Put.contest
]

const usage = `Usage: npm run bench -- [CONTEST ...] [--quick] [--check] [--json FILE]

Contests: ${contests.map(({ name, title }) => `\n  ${name.padEnd(10)} ${title}`).join("")}

  --quick      one round of each
  --check      exit with 1 when a promise is not kept
  --json FILE  write every figure of every round to FILE
  --only NAME  only this contestant, and others that are named so; promises are left out
  --files N    only the list of so many files
  --rounds N   so many rounds
  --profile DIR
               write a CPU profile of each measurement to DIR, and print what the last ones say`

class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

const parse = (args: ReadonlyArray<string>) =>
  Effect.try({
    try: () =>
      parseArgs({
        // `pnpm bench -- engine` also passes the dashes on.
        args: args.filter((arg) => arg !== "--"),
        allowPositionals: true,
        options: {
          quick: { type: "boolean", default: false },
          check: { type: "boolean", default: false },
          json: { type: "string" },
          help: { type: "boolean", default: false },
          measure: { type: "boolean", default: false },
          only: { type: "string", multiple: true },
          files: { type: "string" },
          rounds: { type: "string" },
          profile: { type: "string" }
        }
      }),
    catch: (error) => new UsageError({ message: (error as Error).message.split(". ", 1)[0]! })
  })

const find = (name: string) =>
  Effect.fromNullable(contests.find((contest) => contest.name === name)).pipe(
    Effect.mapError(() => new UsageError({ message: `There is no contest ${JSON.stringify(name)}.` }))
  )

const measure = (contestName: string, contestantName: string, files: number, profile: string | undefined) =>
  Effect.gen(function*() {
    const contest = yield* find(contestName)
    const contestant = yield* Effect.fromNullable(contest.contestants.find(({ name }) => name === contestantName))
    yield* contestant.prepare ?? Effect.void
    const upload = contestant.upload(files)
    const measured = contestant.measure?.(files) ??
      Measurement.here(profile === undefined ? upload : Profile.written(upload, profile), files)
    console.log(JSON.stringify(yield* measured))
  })

const onStart = (what: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${what}`)
}

const program = Effect.gen(function*() {
  const { positionals, values } = yield* parse(process.argv.slice(2))
  if (values.help) return console.log(usage)
  if (values.measure) return yield* measure(positionals[0]!, positionals[1]!, Number(positionals[2]), values.profile)
  const chosen = yield* Effect.forEach(positionals, find)
  const date = new Date()
  const machine = Table.machine()
  console.log(Table.header(machine, date))
  const outcomes: Array<Contest.Outcome> = []
  for (const contest of chosen.length === 0 ? contests : chosen) {
    const outcome = yield* Contest.run(contest, {
      quick: values.quick,
      only: values.only,
      files: values.files === undefined ? undefined : Number(values.files),
      rounds: values.rounds === undefined ? undefined : Number(values.rounds),
      profiles: values.profile,
      onStart
    })
    onStart("")
    console.log(Table.render(contest, outcome))
    for (const { file, of } of outcome.profiles) console.log(`\n${of}\n${Profile.render(file, 25)}`)
    outcomes.push(outcome)
  }
  if (values.json !== undefined) {
    fs.writeFileSync(values.json, `${JSON.stringify({ date, machine, outcomes }, null, 2)}\n`)
  }
  const isKept = outcomes.every(({ promises }) => promises.every(({ kept }) => kept))
  if (values.check && !isKept) process.exitCode = 1
})

await Effect.runPromise(program.pipe(
  Effect.catchTag("UsageError", ({ message }) =>
    Effect.sync(() => {
      console.error(`${message}\n\n${usage}`)
      process.exitCode = 2
    })),
  Effect.catchAll((error) =>
    Effect.sync(() => {
      console.error(error.message)
      process.exitCode = 1
    })
  )
))
