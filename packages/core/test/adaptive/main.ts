/**
 * The criteria of the adaptive controller, over many seeds: `npm run adaptive -- [--seeds N] [C1 ...]`. Prints each
 * promise with what was measured; exits with 1 when one is not kept.
 */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import * as Criteria from "./Criteria.js"
import * as Criterion from "./Criterion.js"

const { positionals, values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== "--"),
  allowPositionals: true,
  options: { seeds: { type: "string" } }
})

for (const criterion of Criteria.criteria) {
  if (
    positionals.length > 0 && !positionals.some((id) => criterion.id === id || criterion.id.split(" ").includes(id))
  ) {
    continue
  }
  const seeds = values.seeds === undefined ? criterion.seeds : Number(values.seeds)
  const startedAt = process.cpuUsage()
  const verdicts = await Effect.runPromise(Criterion.judge(criterion, seeds))
  const { system, user } = process.cpuUsage(startedAt)
  process.stdout.write(
    `${criterion.id}: ${criterion.title}, ${seeds} seeds, ${((system + user) / 1e6).toFixed(1)} s of CPU\n${
      verdicts.map((verdict) => `  ${Criterion.render(verdict)}\n`).join("")
    }`
  )
  if (verdicts.some(({ isKept }) => !isKept)) process.exitCode = 1
}
