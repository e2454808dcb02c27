/**
 * Shows where a process spends its CPU time: a profile in the format of `node --cpu-prof`, only of the measured work,
 * and its totals by module and by function. Time in the kernel counts for the function that called it; `(program)` is
 * V8 and libuv.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { Session } from "node:inspector/promises"
import type { Profiler } from "node:inspector/promises"
import * as path from "node:path"

/** The sampling interval, in microseconds. */
const interval = 200

/** Runs a piece of work, and writes its profile to a file. */
export const written = <A, E, R>(work: Effect.Effect<A, E, R>, file: string): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.promise(async () => {
      const session = new Session()
      session.connect()
      await session.post("Profiler.enable")
      await session.post("Profiler.setSamplingInterval", { interval })
      await session.post("Profiler.start")
      return session
    }),
    () => work,
    (session) =>
      Effect.promise(async () => {
        const { profile } = await session.post("Profiler.stop")
        session.disconnect()
        fs.mkdirSync(path.dirname(file), { recursive: true })
        fs.writeFileSync(file, JSON.stringify(profile))
      })
  )

/** The totals of a profile in a file: milliseconds by module and by function. Idle time is left out. */
export const render = (file: string, most: number): string => {
  const profile: Profiler.Profile = JSON.parse(fs.readFileSync(file, "utf8"))
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const modules = new Map<string, number>()
  const functions = new Map<string, number>()
  for (const [i, id] of (profile.samples ?? []).entries()) {
    const frame = nodes.get(id)?.callFrame
    if (frame === undefined || frame.functionName === "(idle)") continue
    const millis = (profile.timeDeltas?.[i] ?? 0) / 1000
    const where = moduleOf(frame)
    add(modules, where, millis)
    add(functions, frame.url === "" ? where : `${frame.functionName || "(anonymous)"} in ${where}`, millis)
  }
  const total = [...modules.values()].reduce((sum, millis) => sum + millis, 0)
  const list = (times: ReadonlyMap<string, number>) =>
    [...times].sort(([, a], [, b]) => b - a).slice(0, most).map(([name, millis]) =>
      `${millis.toFixed(0).padStart(8)} ms ${(100 * millis / total).toFixed(1).padStart(5)} %  ${name}`
    )
  return [`${total.toFixed(0).padStart(8)} ms`, ...list(modules), "", ...list(functions)].join("\n")
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const add = (times: Map<string, number>, name: string, millis: number): void => {
  times.set(name, (times.get(name) ?? 0) + millis)
}

/** The name of a frame: our modules individually, others by package, and code without a module by its function. */
const moduleOf = ({ functionName, url }: Profiler.Profile["nodes"][number]["callFrame"]): string => {
  if (url === "") return functionName
  const ours = /\/packages\/core\/\w+\/(.*)\.js$/.exec(url)?.[1]
  if (ours !== undefined) return `sluice ${ours}`
  const theirs = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(?:.*\/)?([^/]+)\.js$/.exec(url)
  if (theirs === null) return url.startsWith("node:") ? url : path.basename(url)
  return theirs[1] === "effect" || theirs[1] === "undici" ? `${theirs[1]} ${theirs[2]}` : theirs[1]!
}
