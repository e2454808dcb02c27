/**
 * What to do when no descriptor is left: wait until a file is closed.
 */
import * as Schedule from "effect/Schedule"

/** Whether a system error code means that the process or the system has too many open files. */
export const isFull = (code: string | undefined): boolean => code === "EMFILE" || code === "ENFILE"

/** About 25 seconds, for other calls to close their files. */
export const patience: Schedule.Schedule<unknown> = Schedule.exponential("5 millis").pipe(
  Schedule.union(Schedule.spaced("250 millis")),
  Schedule.intersect(Schedule.recurs(100))
)
