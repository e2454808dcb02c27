/**
 * What the process that is killed is told on its command line, and what it writes down of itself.
 */

/** Moments at which a process kills itself. */
export const points = [
  /** The journal has the intent, and nothing was created. */
  "begun",
  /** `create` was carried out, but not recorded. */
  "created",
  /** All of that is written down, and the first part is about to go. */
  "recorded",
  "part half written",
  "part stored",
  "before complete",
  /** `complete` was carried out, but not recorded. */
  "completed",
  /** A write to the journal was cut. */
  "journal write",
  /** The journal was written anew, and did not get its name yet. */
  "journal renamed",
  "put half written",
  /** A temporary file is whole, and did not get its name yet. */
  "put written",
  "put stored",
  "abort begun",
  /** `abort` was carried out, but not recorded. */
  "aborted",
  /** Leftovers of others were removed, but that was not recorded. */
  "swept",
  /** All is done, and the journal is still locked. */
  "ending"
] as const

export type Point = typeof points[number]

/** Only where what is written to files can be watched. */
export const localPoints: ReadonlySet<Point> = new Set([
  "part half written",
  "put half written",
  "put written",
  "swept"
])

export interface Task {
  readonly source: string
  readonly destination:
    | { readonly kind: "local"; readonly root: string }
    | { readonly kind: "http"; readonly url: string }
  readonly journal: string
  /** Where events are appended, one JSON a line. */
  readonly log: string
  readonly partSize: number
  readonly workers: number
  readonly partConcurrency: number
  readonly kill: { readonly point: Point; readonly occurrence: number; readonly fraction: number } | undefined
}

/** Something that the process began, ended or failed to do at the destination, or its death by its own hand. */
export interface Event {
  /** In milliseconds since the epoch. */
  readonly at: number
  readonly what: "put" | "create" | "part" | "complete" | "abort" | "sweep" | "run" | "kill"
  readonly phase: "start" | "end" | "fail"
  readonly key?: string | undefined
  readonly offset?: number | undefined
  readonly size?: number | undefined
  /** The size of the whole object. */
  readonly total?: number | undefined
  readonly detail?: string | undefined
}
