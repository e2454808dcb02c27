/**
 * Worker processes that share the seeds of criteria.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Bundle from "../support/Bundle.js"
import * as Child from "../support/Child.js"
import * as Criterion from "./Criterion.js"

/** What one of them does: of these criteria, each seed whose turn it is. */
export interface Task {
  readonly ids: ReadonlyArray<string>
  /** Instead of as many as each criterion names. */
  readonly seeds: number | undefined
  readonly shard: number
  readonly shards: number
}

interface Line {
  readonly id: string
  readonly seed: number
  readonly measured: Criterion.Measured
}

export interface Options extends Pick<Task, "seeds"> {
  readonly parallel: number
  readonly onJudged: (criterion: Criterion.Criterion, verdicts: ReadonlyArray<Criterion.Verdict>) => void
}

/** Measures criteria in their order, and judges each when all of its seeds have been heard of. */
export const run = async (criteria: ReadonlyArray<Criterion.Criterion>, options: Options): Promise<void> => {
  const { onJudged, parallel, seeds } = options
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-adaptive-"))
  const all = new Map(
    criteria.map((criterion) => [criterion.id, { criterion, bySeed: new Map<number, Criterion.Measured>() }])
  )
  const hear = ({ id, measured, seed }: Line) => {
    const { bySeed, criterion } = all.get(id)!
    bySeed.set(seed, measured)
    const count = seeds ?? criterion.seeds
    if (bySeed.size < count) return
    onJudged(criterion, Criterion.judge(criterion, Array.from({ length: count }, (_, i) => bySeed.get(i + 1)!)))
  }
  try {
    const worker = await Bundle.make("adaptive/criterionWorker.ts", root)
    const ids = criteria.map(({ id }) => id)
    await Promise.all(Array.from({ length: parallel }, (_, shard) => {
      const task: Task = { ids, seeds, shard, shards: parallel }
      return Child.run(worker, task, hear)
    }))
  } finally {
    fs.rmSync(root, { recursive: true, force: true })
  }
}
