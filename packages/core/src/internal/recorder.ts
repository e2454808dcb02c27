/**
 * Writes metrics without an effect for each: a run's hot path updates them several times a file.
 */
import type * as Metric from "effect/Metric"
import type * as MetricLabel from "effect/MetricLabel"

export type Record = <Type, In, Out>(metric: Metric.Metric<Type, In, Out>, value: In) => void

/** A recorder that adds the labels which the fiber had when the run started. */
export const make = (labels: ReadonlyArray<MetricLabel.MetricLabel>): Record => (metric, value) => {
  metric.unsafeUpdate(value, labels)
}
