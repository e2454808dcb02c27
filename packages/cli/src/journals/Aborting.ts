/**
 * Aborts the unfinished uploads of one journal, for `sluice uploads abort`.
 *
 * It touches only uploads that the journal records, and only while it holds the journal's lock, so that it does
 * not interfere with a running process. It first asks the destination whether it still has the upload: a completed
 * upload has nothing to abort, and at some destinations an abort goes to the address of the object itself. If the
 * destination does not say, and an abort cannot harm an object, the upload is aborted all the same.
 */
import type { Destination, Multipart, Session as Begun } from "@sluice/core/Destination"
import { storedBytes } from "@sluice/core/Journal"
import type { Immediate, JournalError, Session } from "@sluice/core/Journal"
import * as JournalNode from "@sluice/core/JournalNode"
import * as RetryPolicy from "@sluice/core/RetryPolicy"
import { Transient } from "@sluice/core/UploadError"
import type { UploadError } from "@sluice/core/UploadError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Journals from "./Journals.js"

/** The outcome for one upload. */
export interface Outcome {
  readonly key: string
  /** The number of bytes that the destination had stored. */
  readonly bytes: number
  /** Why it could not be aborted. */
  readonly error: UploadError | undefined
}

export interface Aborted {
  readonly outcomes: ReadonlyArray<Outcome>
  /** The number of removed leftovers of small files from killed processes. */
  readonly swept: number
  /** Why such leftovers may still be there. */
  readonly unswept: ReadonlyArray<UploadError>
}

/**
 * Aborts the uploads of a journal: those of `keys`, or all of them. `destination` is created after the journal is
 * locked. A journal with nothing left in it is removed.
 */
export const run = <E, R>(
  journal: { readonly directory: string; readonly destination: string },
  keys: ReadonlySet<string> | undefined,
  destination: Effect.Effect<Destination["Type"], E, R>
): Effect.Effect<Aborted, E | JournalError, Exclude<R, Scope.Scope>> =>
  Effect.scoped(
    Effect.gen(function*() {
      const open = yield* JournalNode.make({ ...journal, removeWhenEmpty: true })
      const reached = yield* destination
      const sessions = (yield* open.sessions).filter(({ key }) => keys?.has(key) ?? true)
      const outcomes = yield* Effect.forEach(sessions, (session) => abortOne(open, reached, session), { concurrency })
      const { swept, unswept } = keys === undefined ? yield* sweep(open, reached) : { swept: 0, unswept: [] }
      yield* open.flush
      return { outcomes, swept, unswept }
    })
  ).pipe(Effect.zipLeft(Journals.removeDirectory(journal.directory)))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const concurrency = 8

/** How long the destination may take to report on an upload. */
const lookMillis = 30_000

const abortOne = Effect.fnUntraced(
  function*(journal: Immediate, destination: Destination["Type"], session: Session): Effect.fn.Return<Outcome> {
    const { key } = session
    const bytes = storedBytes(session)
    const { multipart } = destination
    const uploadId = session.uploadId ?? (multipart?.ownIds === true ? session.token : undefined)
    const done = multipart === undefined || uploadId === undefined
      ? Either.right(undefined)
      : yield* abort(multipart, { key, uploadId, parts: Array.from(session.parts.values()) })
    if (Either.isRight(done)) journal.ended(key)
    return { key, bytes, error: Either.isLeft(done) ? done.left : undefined }
  }
)

const abort = (
  multipart: Multipart,
  session: Begun
): Effect.Effect<Either.Either<void, UploadError>> =>
  multipart.listParts(session).pipe(
    Effect.timeoutFail({ duration: lookMillis, onTimeout: () => noAnswer }),
    Effect.retry({
      schedule: retry.schedule,
      times: retry.attempts - 1,
      while: (error) => error._tag !== "SessionGone"
    }),
    Effect.either,
    Effect.flatMap((there) =>
      Either.isRight(there) || isUntold(there.left, multipart)
        ? abortKnown(multipart, session)
        : Effect.succeed(there.left._tag === "SessionGone" ? Either.right(undefined) : Either.left(there.left))
    )
  )

/** Aborts an upload that the destination has, or may have. */
const abortKnown = (multipart: Multipart, session: Begun): Effect.Effect<Either.Either<void, UploadError>> =>
  multipart.abort(session).pipe(
    Effect.timeoutFail({ duration: lookMillis, onTimeout: () => noAnswer }),
    Effect.retry({
      schedule: Schedule.upTo(abortRetry.schedule, abortMillis),
      times: abortRetry.attempts - 1,
      while: (error) => error._tag !== "SessionGone"
    }),
    Effect.catchTag("SessionGone", () => Effect.void),
    Effect.either
  )

/** Whether a destination refuses to report on an upload that can be aborted all the same. */
const isUntold = (error: UploadError, { becomesObject }: Multipart): boolean =>
  !becomesObject && (error._tag === "Rejected"
    ? error.reason !== "Unauthorized" && error.reason !== "NotFound"
    : error._tag === "Transient" && error.reason === "Unavailable")

const retry = RetryPolicy.make()

/** How long after the first attempt to abort a retry may begin, in milliseconds. */
const abortMillis = 60_000

const abortRetry = RetryPolicy.make({ attempts: 10, base: "200 millis", cap: "5 seconds" })

const noAnswer = new Transient({ reason: "Stalled", detail: "The destination did not answer within 30 seconds." })

/** Removes leftovers of small files from killed processes. */
const sweep = Effect.fnUntraced(function*(journal: Immediate, { leftovers }: Destination["Type"]) {
  const owners = leftovers === undefined ? [] : yield* journal.owners
  const results = yield* Effect.forEach(owners, (owner) =>
    Effect.either(
      Effect.zipLeft(leftovers?.sweep(owner) ?? Effect.succeed(0), Effect.ignore(journal.disown(owner)))
    ))
  return {
    swept: results.reduce((sum, result) => sum + (Either.isRight(result) ? result.right : 0), 0),
    unswept: results.filter(Either.isLeft).map(({ left }) => left)
  }
})
