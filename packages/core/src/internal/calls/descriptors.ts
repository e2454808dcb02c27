/**
 * What to do where no descriptor is left: to wait until somebody closes a file.
 */
import * as Schedule from "effect/Schedule"

/** Whether the process, or the system, has as many files open as it may have, by the system's code. */
export const isFull = (code: string | undefined): boolean => code === "EMFILE" || code === "ENFILE"

/** About 25 seconds, for others to close what they have open. */
export const patience: Schedule.Schedule<unknown> = Schedule.exponential("5 millis").pipe(
  Schedule.union(Schedule.spaced("250 millis")),
  Schedule.intersect(Schedule.recurs(100))
)
