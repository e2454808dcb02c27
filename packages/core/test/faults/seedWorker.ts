/**
 * Runs a share of the seeds, and prints one line of JSON with the findings for each; `simulateSeeds` and `mutate` start
 * it.
 */
import { Effect } from "effect"
import * as Crypto from "node:crypto"
import * as World from "./World.js"

const { count, first, runsTwice, step, stopsAtFirst, tellsStory } = JSON.parse(process.argv[2]!) as {
  readonly first: number
  readonly step: number
  readonly count: number
  readonly stopsAtFirst: boolean
  readonly tellsStory: boolean
  readonly runsTwice: boolean
}

const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

const consumed: Record<string, number> = {}
const remaining: Record<string, number> = {}
const sums = { seeds: 0, processes: 0, kills: 0, uploads: 0, requests: 0, faults: 0, fewest: Infinity }
const add = (to: Record<string, number>, name: string) => {
  to[name] = (to[name] ?? 0) + 1
}

/** The history of a seed, and where the second run differs. */
const compare = (first: World.Outcome, second: World.Outcome) => {
  const tell = ({ consumed, story }: World.Outcome) => [...story(), ...consumed]
  const lines = tell(first)
  const again = tell(second)
  const at = lines.findIndex((line, i) => line !== again[i])
  const difference = at >= 0
    ? `${lines[at]} / ${again[at]}`
    : lines.length === again.length
    ? undefined
    : `${again.length - lines.length} lines more`
  return { history: Crypto.hash("sha256", lines.join("\n")), difference }
}

for (let i = 0; i < count; i++) {
  const seed = first + i * step
  const outcome = await Effect.runPromise(World.run(seed))
  sums.seeds += 1
  sums.processes += outcome.processes
  sums.kills += outcome.kills
  sums.uploads += outcome.uploads
  sums.requests += outcome.requests
  sums.faults += outcome.consumed.length
  sums.fewest = Math.min(sums.fewest, outcome.consumed.length)
  for (const name of outcome.consumed) add(consumed, name)
  for (const name of outcome.remaining) add(remaining, name.replace(/ #\d+:/, ""))
  if (tellsStory) { for (const line of outcome.story()) say({ line }) }
  const { strategy, violations } = outcome
  if (runsTwice) say({ seed, strategy, ...compare(outcome, await Effect.runPromise(World.run(seed))) })
  if (violations.length > 0) {
    say({ seed, strategy, violations })
    if (stopsAtFirst) break
  }
}
const { system, user } = process.cpuUsage()
say({ sums, consumed, remaining, cpuSeconds: (system + user) / 1e6 })
