/**
 * Uploads a large file: create or resume, upload parts, complete; on any other outcome, abort or keep.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Destination from "../../Destination.js"
import type * as Journal from "../../Journal.js"
import type { UploadError } from "../../UploadError.js"
import { modified } from "../bytes/body.js"
import { ofSource } from "../bytes/watch.js"
import { withDeadline } from "../calls/deadline.js"
import type { Restore } from "../calls/ended.js"
import type * as PartPlan from "../calls/partPlan.js"
import * as PartRecords from "../calls/partRecords.js"
import { drawUploadName } from "../calls/uploadName.js"
import * as Etag from "../values/etag.js"
import { later } from "./answeringJournal.js"
import { call } from "./call.js"
import type { CallOptions } from "./call.js"
import { Completion } from "./completion.js"
import type { Env } from "./env.js"
import type { Lease } from "./lease.js"
import * as Parts from "./parts.js"
import { sendParts } from "./sendParts.js"
import type { Opened } from "./sendParts.js"
import { abandon, abort, ended, idOf, isOfJournal, sessionOf, written } from "./session.js"
import type { RestartReason, Step } from "./step.js"
import type { Upload } from "./upload.js"

/** Sends a file in parts. The caller has taken its lease, with which the first request is made. */
export const run = (
  env: Env,
  upload: Upload,
  multipart: Destination.Multipart
): Effect.Effect<Destination.Stored, UploadError> =>
  Effect.uninterruptibleMask((restore) => Effect.suspend(() => new Flow(env, upload, multipart, restore).run))

/** How long `complete` may take, in milliseconds: some destinations assemble the object before they answer. */
const completeMillis = 600_000

class Flow {
  private readonly env: Env
  private readonly upload: Upload
  private readonly multipart: Destination.Multipart
  private readonly size: number | undefined
  private readonly restore: Restore
  private readonly outcome: Completion
  /** Whether the session has ended in success, whatever happened to the object. */
  private completed = false
  /** Whether all parts are stored and the completion was requested. */
  private completing = false

  constructor(env: Env, upload: Upload, multipart: Destination.Multipart, restore: Restore) {
    this.env = env
    this.upload = upload
    this.multipart = multipart
    this.size = upload.size
    this.restore = restore
    this.outcome = new Completion(env, upload, multipart)
  }

  private get key(): string {
    return this.upload.file.key
  }

  get run(): Effect.Effect<Destination.Stored, UploadError> {
    return Effect.gen(this, function*() {
      const { size } = this
      const plan = size === undefined ? undefined : yield* Parts.planOf(this.env, size)
      const opened = yield* this.open(plan)
      if (!("session" in opened)) return yield* this.commit(opened)
      const result = yield* this.restore(
        Effect.scoped(sendParts(this.env, this.upload, this.multipart, opened, plan))
      ).pipe(
        Effect.flatMap((parts) => this.complete(opened, parts)),
        Effect.exit
      )
      if (Exit.isSuccess(result)) return yield* this.commit(result.value)
      return yield* this.giveUp(opened.session, result.cause)
    }).pipe(Effect.ensuring(Effect.sync(() => this.upload.lease.release())))
  }

  /** Records that the object exists. It is recorded before the end of its session, so that a crash in between loses nothing. */
  private commit(stored: Destination.Stored): Effect.Effect<Destination.Stored> {
    const { env: { journal }, key, upload: { fingerprint }, size } = this
    return Effect.gen(this, function*() {
      this.upload.stored = stored
      if (fingerprint !== undefined && size !== undefined) {
        yield* later(journal?.finished(PartRecords.finished({ key, size, fingerprint }, stored))) ?? Effect.void
      }
      yield* this.ended
      return stored
    })
  }

  // ---------------------------------------------------------------------------
  // create or resume
  // ---------------------------------------------------------------------------

  private open(plan: PartPlan.PartPlan | undefined): Effect.Effect<Opened | Destination.Stored, UploadError> {
    return Effect.gen(this, function*() {
      const known = yield* this.restore(sessionOf(this.env, this.key))
      const resumed = known === undefined ? undefined : yield* this.goOn(known, plan)
      return resumed ?? (yield* this.create(plan))
    })
  }

  private create(plan: PartPlan.PartPlan | undefined): Effect.Effect<Opened | Destination.Stored, UploadError> {
    const { env: { journal, parts: { checksum, partSize } }, key, multipart, upload: { file, fingerprint } } = this
    return Effect.gen(this, function*() {
      const token = yield* drawUploadName
      yield* written(
        journal?.begin({
          key,
          token,
          size: plan?.size,
          fingerprint,
          partSize: plan?.partSize ?? partSize,
          checksum,
          startedAt: this.upload.clock.unsafeCurrentTimeMillis()
        })
      )
      let asked = false
      const create = withDeadline(
        multipart.create({
          key,
          size: plan?.size,
          checksum,
          token,
          contentType: file.contentType,
          metadata: file.metadata,
          modifiedAt: this.upload.modifiedAt,
          mode: this.upload.mode
        }),
        this.upload.run.answerMillis
      )
      // Some destinations begin without a request.
      const asking = Effect.suspend(() => {
        asked = true
        return create
      })
      const created = yield* Effect.exit(this.request("create", asking, { lease: this.upload.lease, isHeard: false }))
      if (Exit.isFailure(created)) {
        // With an id of our own, an upload whose creation was not answered can be aborted. Nothing is stored yet, so nothing is kept.
        if (multipart.ownIds && asked) yield* this.abort({ key, uploadId: token })
        else yield* this.ended
        return yield* Effect.failCause(created.cause)
      }
      const uploadId = created.value
      const opened: Opened = { session: { key, uploadId }, resumed: false, stored: new Map(), begun: 0 }
      const noted = yield* Effect.exit(written(uploadId === token ? undefined : journal?.created(key, uploadId)))
      return Exit.isSuccess(noted) ? opened : yield* this.giveUp(opened.session, noted.cause)
    })
  }

  /** Resumes what an earlier process began; `undefined` if that is not possible. */
  private goOn(
    known: Journal.Session,
    plan: PartPlan.PartPlan | undefined
  ): Effect.Effect<Opened | Destination.Stored | undefined, UploadError> {
    const { key, multipart, upload } = this
    const uploadId = idOf(multipart)(known)
    if (uploadId === undefined) return Effect.succeed(undefined)
    const session: Destination.Session = { key, uploadId, parts: PartRecords.inOrder(known.parts) }
    return Effect.gen(this, function*() {
      const difference = this.differenceFrom(known, plan)
      if (difference !== undefined || plan === undefined) {
        yield* this.recorded({ _tag: "Restarted", upload, reason: difference ?? "SourceChanged" })
        yield* this.abort(session, this.upload.lease)
        return undefined
      }
      const listed = yield* Effect.exit(
        this.request("list", withDeadline(multipart.listParts(session), upload.run.answerMillis), {
          lease: this.upload.lease
        })
      )
      if (Exit.isFailure(listed)) {
        if (!isGone(listed.cause)) return yield* this.withoutParts(session, listed.cause)
        const parts = PartRecords.inOrder(known.parts)
        const checksum = PartRecords.combined(known.checksum, parts)
        this.outcome.etag = Etag.ofParts(parts)
        const completed = known.parts.size === plan.count
          ? yield* this.outcome.look((found) =>
            this.outcome.isOurs(found, { size: plan.size, checksum }) ?? this.hasEtagOf(known, found)
          )
          : Option.none()
        const there = Option.isSome(completed)
          ? completed
          : yield* this.restore(this.outcome.lookByContent(plan))
        if (Option.isSome(there)) {
          yield* this.noteResumed(plan.size, plan.count)
          return there.value
        }
        yield* this.ended
        yield* this.recorded({ _tag: "Restarted", upload, reason: "SessionGone" })
        return undefined
      }
      const stored = PartRecords.reconcile(plan, known.parts, listed.value, multipart.limits.inOrder)
      let whole = 0
      for (const part of stored.values()) whole += part.size
      const begun = multipart.limits.inOrder
        ? Math.min(PartRecords.persistedBytes(listed.value, whole), plan.size) - whole
        : 0
      yield* this.noteResumed(whole + begun, stored.size)
      return { session, resumed: true, stored, begun }
    })
  }

  /**
   * If the destination refuses to list the parts that it has: aborts the upload, so that the file starts over. If the
   * abort fails too, the upload is kept.
   */
  private withoutParts(
    session: Destination.Session,
    cause: Cause.Cause<UploadError>
  ): Effect.Effect<Destination.Stored | undefined, UploadError> {
    const { env, multipart, upload } = this
    return Effect.gen(this, function*() {
      const isWillful = Option.exists(Cause.failureOption(cause), PartRecords.mayBeginAgain)
      // If a session becomes the object, an abort could remove an object.
      if (!isWillful || multipart.becomesObject) return yield* this.giveUp(session, cause)
      const aborted = yield* abort(env, upload, multipart, session, this.upload.lease)
      if (Either.isLeft(aborted)) {
        if (aborted.left._tag !== "Rejected") return yield* this.giveUp(session, cause)
        yield* this.recorded({ _tag: "AbortFailed", upload, error: aborted.left })
      }
      yield* this.ended
      yield* this.recorded({ _tag: "Restarted", upload, reason: "PartsUnknown" })
      return undefined
    })
  }

  /** Whether an object was completed by the last part of an in-order upload: its answer gave the object's etag. */
  private hasEtagOf({ parts }: Journal.Session, { etag }: Destination.Head): boolean {
    const known = Etag.read(etag)
    return this.multipart.limits.inOrder && known !== undefined && known === Etag.read(parts.get(parts.size)?.etag)
  }

  /** How an upload in progress differs from the wanted one; `undefined` if it does not. */
  private differenceFrom(
    known: Journal.Session,
    plan: PartPlan.PartPlan | undefined
  ): RestartReason | undefined {
    const { env: { parts: { checksum } }, upload: { fingerprint } } = this
    if (plan === undefined || known.size !== plan.size) return "SourceChanged"
    if (known.fingerprint !== fingerprint || fingerprint === undefined) return "SourceChanged"
    if (known.partSize !== plan.partSize) return "PartSizeChanged"
    return known.checksum === checksum ? undefined : "ChecksumChanged"
  }

  // ---------------------------------------------------------------------------
  // complete, abort or keep
  // ---------------------------------------------------------------------------

  private complete(
    { resumed, session }: Opened,
    parts: ReadonlyArray<Destination.StoredPart>
  ): Effect.Effect<Destination.Stored, UploadError> {
    const { env, multipart, upload } = this
    const size = parts.reduce((total, part) => total + part.size, 0)
    const checksum = PartRecords.combined(env.parts.checksum, parts)
    this.outcome.etag = Etag.ofParts(parts)
    const call = Effect.tapError(
      withDeadline(
        multipart.complete({ ...session, parts, size, checksum, modifiedAt: upload.modifiedAt, mode: upload.mode }),
        completeMillis
      ),
      (error) =>
        Effect.sync(() => {
          if (error._tag === "Transient") this.outcome.asked = { size, checksum }
        })
    )
    return Effect.gen(this, function*() {
      yield* this.restore(this.unchanged)
      yield* written(env.journal?.flush)
      this.completing = true
      const result = yield* Effect.exit(this.request("complete", call))
      if (Exit.isSuccess(result)) {
        this.completed = true
        const problem = PartRecords.mismatch(result.value, size, size, checksum)
        return problem === undefined ? result.value : yield* Effect.fail(problem)
      }
      this.outcome.mayBeOlder = resumed && isConflict(result.cause)
      const there = yield* this.outcome.settle(session, { size, checksum }, isGone(result.cause))
      if (Option.isNone(there)) return yield* result
      // The existing object may be an older one with the same content.
      if (this.outcome.mayBeOpen && !multipart.becomesObject) yield* this.abort(session)
      return there.value
    })
  }

  /** Fails unless the source is unchanged. */
  private get unchanged(): Effect.Effect<unknown, UploadError> {
    const { fingerprint, source } = this.upload
    return source.fingerprint === undefined || fingerprint === undefined
      ? Effect.void
      : Effect.filterOrFail(
        this.upload.run.stalls.reading(() => ofSource(() => source.fingerprint!)),
        (now) => now === fingerprint,
        modified
      )
  }

  /** Aborts or keeps the session and fails, unless it turns out that the object exists after all. */
  private giveUp(
    session: Destination.Session,
    cause: Cause.Cause<UploadError>
  ): Effect.Effect<Destination.Stored, UploadError> {
    const { env: { journal }, outcome: { asked } } = this
    return Effect.gen(this, function*() {
      if (this.completed) {
        yield* this.ended
        return yield* Effect.failCause(cause)
      }
      if (this.keeps(Option.getOrUndefined(Cause.failureOption(cause)))) {
        yield* Effect.ignore(written(journal?.flush))
        return yield* Effect.failCause(cause)
      }
      yield* this.abort(session)
      // A late request may have been carried out by now.
      const there = asked === undefined ? Option.none() : yield* this.outcome.settleAfterAbort(asked)
      return yield* Option.isSome(there) ? this.commit(there.value) : Effect.failCause(cause)
    })
  }

  /** Whether a session abandoned for this reason is kept: if it can be resumed, and the journal knows it. */
  private keeps(error: UploadError | undefined): boolean {
    const { completing, env: { journal }, upload: { fingerprint, run: { onInterrupt }, source } } = this
    const canGoOn = completing ? PartRecords.canComplete : PartRecords.canGoOn
    return onInterrupt === "keep" && journal !== undefined && fingerprint !== undefined && source.reopenable &&
      (error === undefined || (canGoOn(error) && !isOfJournal(error)))
  }

  private noteResumed(bytes: number, parts: number): Effect.Effect<void> {
    this.upload.resumedBytes = bytes
    return this.recorded({ _tag: "Resumed", upload: this.upload, bytes, parts })
  }

  private recorded(step: Step): Effect.Effect<void> {
    return this.upload.record(step) ?? Effect.void
  }

  private get ended(): Effect.Effect<void> {
    return ended(this.env, this.key)
  }

  private abort(session: Destination.Session, lease?: Lease): Effect.Effect<void> {
    return abandon(this.env, this.upload, this.multipart, session, lease)
  }

  private request<A>(
    name: string,
    request: Effect.Effect<A, UploadError>,
    options?: Pick<CallOptions<A>, "isHeard" | "lease">
  ): Effect.Effect<A, UploadError> {
    const { env, restore, upload } = this
    return call(env, upload, { ...options, name, send: () => request, restore, waits: true })
  }
}

const isGone = (cause: Cause.Cause<UploadError>): boolean =>
  Option.exists(Cause.failureOption(cause), (error) => error._tag === "SessionGone")

const isConflict = (cause: Cause.Cause<UploadError>): boolean =>
  Option.exists(Cause.failureOption(cause), (error) => error._tag === "Conflict")
