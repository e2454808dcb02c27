/**
 * The criteria of the adaptive controller, over many seeds: `npm run adaptive -- [--seeds N] [--parallel 2] [C1 ...]`.
 * Prints each promise with what was measured; exits with 1 when one is not kept.
 */
import { parseArgs } from "node:util"
import * as Criteria from "./Criteria.js"
import * as Criterion from "./Criterion.js"
import * as CriterionWorkers from "./CriterionWorkers.js"

const { positionals, values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== "--"),
  allowPositionals: true,
  options: { seeds: { type: "string" }, parallel: { type: "string", default: "2" } }
})

const isAsked = ({ id }: Criterion.Criterion): boolean =>
  positionals.length === 0 || positionals.some((asked) => id === asked || id.split(" ").includes(asked))

const startedAt = process.hrtime.bigint()

await CriterionWorkers.run(Criteria.criteria.filter(isAsked), {
  seeds: values.seeds === undefined ? undefined : Number(values.seeds),
  parallel: Number(values.parallel),
  onJudged: (criterion, verdicts) => {
    const seconds = Number((process.hrtime.bigint() - startedAt) / 1_000_000_000n)
    process.stdout.write(
      `${criterion.id}: ${criterion.title}, ${values.seeds ?? criterion.seeds} seeds, after ${seconds} s\n${
        verdicts.map((verdict) => `  ${Criterion.render(verdict)}\n`).join("")
      }`
    )
    if (verdicts.some(({ isKept }) => !isKept)) process.exitCode = 1
  }
})
