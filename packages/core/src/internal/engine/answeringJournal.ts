/**
 * A journal that the engine can rely on. A custom journal may never answer, and may die: neither holds up an upload, or
 * the end of a run, for more than a minute.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { JournalError } from "../../Journal.js"
import type { Journal } from "../../Journal.js"
import { within } from "../calls/within.js"

/** Each member is called on the journal itself, which may be an instance of a class. */
export const answering = (journal: Journal["Type"]): Journal["Type"] => ({
  session: (key) => journal.session(key),
  sessions: Effect.suspend(() => journal.sessions),
  begin: (intent) => asked(() => journal.begin(intent)),
  created: (key, uploadId) => asked(() => journal.created(key, uploadId)),
  partStored: (key, part) => journal.partStored(key, part),
  flush: asked(() => journal.flush),
  ended: (key) => journal.ended(key),
  finished: (file) => journal.finished(file),
  wasFinished: (file) => journal.wasFinished(file),
  locationOf: (file) => journal.locationOf?.(file),
  runEnded: asked(() => journal.runEnded),
  // If the journal does not answer, what processes left behind is removed another time.
  owners: Effect.catchAllCause(
    within(Effect.disconnect(Effect.suspend(() => journal.owners)), answerMillis, () => "late" as const),
    (cause) => Cause.isInterruptedOnly(cause) ? Effect.interrupt : Effect.as(Effect.logWarning(untold, cause), [])
  ),
  own: (owner) => asked(() => journal.own(owner)),
  disown: (owner) => asked(() => journal.disown(owner))
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How long an answer may take, in milliseconds. */
const answerMillis = 60_000

const untold = "The journal does not tell what killed processes may have left behind."

const asked = (call: () => Effect.Effect<void, JournalError>): Effect.Effect<void, JournalError> =>
  Effect.catchAllCause(
    within(Effect.disconnect(Effect.suspend(call)), answerMillis, () => unusable("did not answer within a minute.")),
    (cause) =>
      Cause.isInterrupted(cause) || Cause.isFailure(cause)
        ? Effect.failCause(cause)
        : Effect.fail(unusable(`failed unexpectedly: ${Cause.pretty(cause).split("\n", 1)[0]}`, Cause.squash(cause)))
  )

const unusable = (what: string, cause?: unknown): JournalError =>
  new JournalError({ reason: "Unusable", detail: `The journal ${what}`, ...(cause !== undefined && { cause }) })
