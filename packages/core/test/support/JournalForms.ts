/**
 * The forms in which a journal may answer: at once, as one in memory does, or by effects that take a while, as one in a
 * database does.
 */
import type { Journal } from "@sluice/core"
import { Effect } from "effect"

export type Verb = keyof Journal.Journal["Type"]

/** How a verb answers, given the effect that does what it is for. */
export type Wire = <A>(
  verb: Verb,
  answer: Effect.Effect<A, Journal.JournalError>
) => Effect.Effect<A, Journal.JournalError>

/** A journal all of whose verbs answer by an effect. */
export const through = (
  { begin, created, disown, ended, finished, flush, own, owners, partStored, runEnded, session, sessions, wasFinished }:
    Journal.Immediate,
  wire: Wire
): Journal.Journal["Type"] => ({
  session: (key) => wire("session", Effect.sync(() => session(key))),
  sessions: wire("sessions", sessions),
  begin: (intent) => wire("begin", begin(intent)),
  created: (key, uploadId) => wire("created", created(key, uploadId)),
  partStored: (key, part) => wire("partStored", Effect.sync(() => partStored(key, part))),
  flush: wire("flush", flush),
  ended: (key) => wire("ended", Effect.sync(() => ended(key))),
  finished: (file) => wire("finished", Effect.sync(() => finished(file))),
  wasFinished: (file) => wire("wasFinished", Effect.sync(() => wasFinished(file))),
  runEnded: wire("runEnded", runEnded),
  owners: wire("owners", owners),
  own: (owner) => wire("own", own(owner)),
  disown: (owner) => wire("disown", disown(owner))
})

/** As in a database: each answer takes from 1 to 7 ms, so that answers overtake each other. */
export const inDatabase = (journal: Journal.Immediate): Journal.Journal["Type"] => {
  let asked = 0
  return through(
    journal,
    (_, answer) => Effect.zipRight(Effect.suspend(() => Effect.sleep(1 + (asked += 3) % 7)), answer)
  )
}

export interface Form {
  readonly name: string
  readonly over: (journal: Journal.Immediate) => Journal.Journal["Type"]
}

export const forms: ReadonlyArray<Form> = [
  { name: "in memory", over: (journal) => journal },
  { name: "in a database", over: inDatabase }
]
