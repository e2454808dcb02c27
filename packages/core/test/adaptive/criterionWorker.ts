/**
 * Measures criteria for every so many of the seeds, a line of JSON for each; `CriterionWorkers` starts it.
 */
import { Effect } from "effect"
import * as Criteria from "./Criteria.js"
import type { Task } from "./CriterionWorkers.js"

const { ids, seeds, shard, shards } = JSON.parse(process.argv[2]!) as Task

for (const criterion of Criteria.criteria) {
  if (!ids.includes(criterion.id)) continue
  for (let seed = 1 + shard; seed <= (seeds ?? criterion.seeds); seed += shards) {
    const measured = await Effect.runPromise(criterion.measure(seed))
    process.stdout.write(`${JSON.stringify({ id: criterion.id, seed, measured })}\n`)
  }
}
