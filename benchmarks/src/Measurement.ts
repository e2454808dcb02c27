/**
 * One measurement: the cost of a piece of work in a process that is started for it and measures itself.
 *
 * The peak of memory is the kernel's, read from `/proc`; `process.resourceUsage().maxRSS` would do elsewhere,
 * but on Linux it starts at the memory of the process that started this one.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as ChildProcess from "node:child_process"
import * as fs from "node:fs"

export const Measurement = Schema.Struct({
  /** The elapsed time, in microseconds per file. */
  wallMicros: Schema.Number,
  /** The CPU time of all threads of the process, in microseconds per file. */
  cpuMicros: Schema.Number,
  /** The most memory the process ever held, in bytes. */
  peakBytes: Schema.Number,
  /** The memory that it held with everything loaded, before its first file, in bytes. */
  startBytes: Schema.Number
})

export type Measurement = typeof Measurement.Type

export class Failed extends Schema.TaggedError<Failed>()("Failed", {
  what: Schema.String,
  output: Schema.String
}) {
  override get message(): string {
    return `${this.what} could not be measured:\n${this.output}`
  }
}

/** Measures a piece of work over `files` files, in this process. */
export const here = (work: Effect.Effect<void>, files: number): Effect.Effect<Measurement> =>
  Effect.promise(async () => {
    const startBytes = process.memoryUsage.rss()
    const cpu = process.cpuUsage()
    const start = performance.now()
    await Effect.runPromise(work)
    const wallMicros = (performance.now() - start) * 1000 / files
    const { system, user } = process.cpuUsage(cpu)
    return { wallMicros, cpuMicros: (user + system) / files, peakBytes: peakBytes(), startBytes }
  })

/** Measures a contestant in a new process, which writes its profile if requested. */
export const inChild = (
  contest: string,
  contestant: string,
  files: number,
  profile: string | undefined
): Effect.Effect<Measurement, Failed> =>
  Effect.async<string, Failed>((resume) => {
    const args = [...process.execArgv, process.argv[1]!, "--measure", contest, contestant, String(files)]
    if (profile !== undefined) args.push("--profile", profile)
    const child = ChildProcess.execFile(process.execPath, args, (error, stdout, stderr) => {
      resume(
        error === null
          ? Effect.succeed(stdout)
          : new Failed({ what: `${contest}: ${contestant} with ${files} files`, output: stderr || error.message })
      )
    })
    return Effect.sync(() => child.kill())
  }).pipe(Effect.flatMap((line) => Effect.orDie(decode(line))))

/** The median of each figure. */
export const median = (rounds: ReadonlyArray<Measurement>): Measurement => ({
  wallMicros: medianOf(rounds.map((round) => round.wallMicros)),
  cpuMicros: medianOf(rounds.map((round) => round.cpuMicros)),
  peakBytes: medianOf(rounds.map((round) => round.peakBytes)),
  startBytes: medianOf(rounds.map((round) => round.startBytes))
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const decode = Schema.decode(Schema.parseJson(Measurement))

const peakBytes = (): number => {
  const kibibytes = fs.existsSync("/proc/self/status")
    ? Number(/^VmHWM:\s*(\d+) kB$/m.exec(fs.readFileSync("/proc/self/status", "utf8"))?.[1])
    : process.resourceUsage().maxRSS
  return kibibytes * 1024
}

const medianOf = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2
}
