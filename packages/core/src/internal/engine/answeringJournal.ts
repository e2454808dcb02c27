/**
 * A journal as the engine relies on it. Somebody else's may never answer, and may die: neither holds up an upload, or the
 * end of a run, for longer than a minute.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { JournalError } from "../../Journal.js"
import type { Journal } from "../../Journal.js"
import { within } from "../calls/within.js"

export const answering = (journal: Journal["Type"]): Journal["Type"] => ({
  ...journal,
  begin: (intent) => asked(() => journal.begin(intent)),
  created: (key, uploadId) => asked(() => journal.created(key, uploadId)),
  flush: asked(() => journal.flush),
  runEnded: asked(() => journal.runEnded),
  own: (owner) => asked(() => journal.own(owner)),
  disown: (owner) => asked(() => journal.disown(owner))
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How long an answer may take, in milliseconds. */
const answerMillis = 60_000

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
