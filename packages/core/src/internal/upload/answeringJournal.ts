/**
 * A journal that the engine can rely on. A custom journal may never answer, may die and may interrupt itself: nothing of
 * this holds up an upload, or the end of a run, for more than a minute.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { JournalError } from "../../Journal.js"
import type { Answer, Finished, Identity, Immediate, Journal, Noted, Session } from "../../Journal.js"
import { within } from "../calls/within.js"

/**
 * What comes of asking: a value that is there at once, or an effect to wait for. Waiting for nothing costs nothing: a
 * million small files ask a journal on the disk.
 */
export type Asked<A, E = never> = A | Effect.Effect<A, E>

/**
 * The journal as the engine asks it. Its effects end within a minute, and only those fail after which the upload cannot
 * go on.
 */
export interface AnsweringJournal
  extends Omit<Immediate, "ended" | "finished" | "partStored" | "session" | "sessions" | "wasFinished">
{
  readonly session: (key: string) => Asked<Session | undefined, JournalError>
  readonly partStored: (...part: Parameters<Immediate["partStored"]>) => Asked<void, JournalError>
  readonly ended: (key: string) => Asked<void>
  readonly finished: (file: Finished) => Asked<void>
  readonly wasFinished: (file: Identity) => Asked<Noted | undefined>
}

/** Each member is called on the journal itself, which may be an instance of a class. */
export const answering = (journal: Journal["Type"]): AnsweringJournal => {
  const logged = new Set<string>()
  /** The first failure of a kind is worth a warning; with a database that is away, there may be one for each file. */
  const log = (message: string) => (cause: Cause.Cause<JournalError>) =>
    Effect.suspend(() => {
      const isFirst = !logged.has(message)
      logged.add(message)
      return isFirst ? Effect.logWarning(message, cause) : Effect.logDebug(message, cause)
    })
  const orElse = <A, B>(asked: Asked<A, JournalError>, message: string, fallback: B): Asked<A | B> =>
    isLater(asked) ? Effect.catchAllCause(asked, (cause) => Effect.as(log(message)(cause), fallback)) : asked
  return {
    session: (key) => heard(() => journal.session(key)),
    begin: (intent) => bounded(() => journal.begin(intent)),
    created: (key, uploadId) => bounded(() => journal.created(key, uploadId)),
    partStored: (key, part) => heard(() => journal.partStored(key, part)),
    flush: bounded(() => journal.flush),
    ended: (key) => orElse(heard(() => journal.ended(key)), endLost, undefined),
    finished: (file) => orElse(heard(() => journal.finished(file)), finishLost, undefined),
    wasFinished: (file) => orElse(heard(() => journal.wasFinished(file)), finishUnknown, undefined),
    runEnded: bounded(() => journal.runEnded),
    // If the journal does not answer, what processes left behind is removed another time.
    owners: Effect.catchAllCause(
      bounded(() => journal.owners),
      (cause) => Effect.as(log(ownersUnknown)(cause), [])
    ),
    own: (owner) => bounded(() => journal.own(owner)),
    disown: (owner) => bounded(() => journal.disown(owner))
  }
}

/** Whether an answer has to be waited for. */
export const isLater = <A, E>(asked: Asked<A, E>): asked is Effect.Effect<A, E> => Effect.isEffect(asked)

/** What to wait for until an answer is there, if anything. */
export const later = <E>(asked: Asked<void, E>): Effect.Effect<void, E> | undefined =>
  isLater(asked) ? asked : undefined

/** An answer as an effect, where a step of a fiber does not matter. */
export const whenAnswered = <A, E>(asked: Asked<A, E>): Effect.Effect<A, E> =>
  isLater(asked) ? asked : Effect.succeed(asked)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How long an answer may take, in milliseconds. */
const answerMillis = 60_000

const endLost = "The journal did not record the end of a multipart upload. Another run will look for it."

const finishLost = "The journal did not record that a file was uploaded. Another run will upload it again."

const finishUnknown = "The journal does not tell whether a file was uploaded before. It is uploaded again."

const ownersUnknown = "The journal does not tell what killed processes may have left behind."

/** Calls a verb that may answer at once. */
const heard = <A>(call: () => Answer<A>): Asked<A, JournalError> => {
  const answer = attempted(call)
  return isLater(answer) ? bounded(() => answer) : answer
}

/** A verb that throws has failed: outside an effect, what it throws would end a run. */
const attempted = <A>(call: () => Answer<A>): Answer<A> => {
  try {
    return call()
  } catch (defect) {
    return Effect.die(defect)
  }
}

const bounded = <A>(call: () => Effect.Effect<A, JournalError>): Effect.Effect<A, JournalError> =>
  Effect.catchAllCause(
    within(Effect.disconnect(Effect.suspend(call)), answerMillis, () => unusable("did not answer within a minute.")),
    (cause) =>
      Cause.isFailure(cause)
        ? Effect.failCause(cause)
        // An interruption that comes from outside does not get here.
        : Effect.fail(
          Cause.isInterruptedOnly(cause)
            ? unusable("interrupted itself.")
            : unusable(`failed unexpectedly: ${Cause.pretty(cause).split("\n", 1)[0]}`, Cause.squash(cause))
        )
  )

const unusable = (what: string, cause?: unknown): JournalError =>
  new JournalError({ reason: "Unusable", detail: `The journal ${what}`, ...(cause !== undefined && { cause }) })
