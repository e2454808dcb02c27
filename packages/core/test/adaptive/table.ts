/**
 * The adaptive controller beside others on the same networks, as a table: `npm run bench:adaptive -- [--seeds N]
 * [azcopy ...]`, all of them unless told which.
 */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import * as Contest from "./Contest.js"

const { positionals, values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== "--"),
  allowPositionals: true,
  options: { seeds: { type: "string", default: "3" } }
})
const seeds = Number(values.seeds)

const line = (cells: ReadonlyArray<string>) => process.stdout.write(`| ${cells.join(" | ")} |\n`)

process.stdout.write(`Four minutes each on the real engine in virtual time; medians of seeds 1 to ${seeds}.
Lanes: seconds until the limit brings 95 % of the link; of the last minute the part of the link used and the limit.
Then 3: the link falls to a quarter after two minutes; of the last minute the part of it used and the limit.
No more than 20: of the last minute the requests refused, the part of what 20 bring, and the limit.

`)
line(["", ...Contest.columns.map(({ title }) => title)])
line(["---", ...Contest.columns.map(() => "---")])
for (const contestant of Contest.contestants) {
  if (positionals.length > 0 && !positionals.includes(contestant.name)) continue
  const cells: Array<string> = []
  for (const column of Contest.columns) cells.push(await Effect.runPromise(Contest.cell(contestant, column, seeds)))
  line([contestant.name, ...cells])
}
