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
import * as MultipartUpload from "../../MultipartUpload.js"
import type { UploadError } from "../../UploadError.js"
import { modified } from "../bytes/body.js"
import { ofSource, reading } from "../bytes/watch.js"
import { withDeadline } from "../calls/deadline.js"
import type * as PartPlan from "../calls/partPlan.js"
import * as PartRecords from "../calls/partRecords.js"
import { drawUploadName } from "../calls/uploadName.js"
import * as Etag from "../values/etag.js"
import { later } from "./answeringJournal.js"
import { Completion } from "./completion.js"
import { answerMillis, lookAt, request } from "./requests.js"
import type * as Requests from "./requests.js"
import { sendParts } from "./sendParts.js"
import type { Opened } from "./sendParts.js"
import { abandon, ended, idOf, isOfJournal, sessionOf, written } from "./session.js"
import { Slot } from "./slot.js"
import type { RestartReason, Step } from "./step.js"

/** Sends a file in parts. The caller has taken a permit and a start, which the first request uses. */
export const run = (
  context: MultipartUpload.Context,
  owner: MultipartUpload.Owner,
  multipart: Destination.Multipart,
  size: number | undefined
): Effect.Effect<Destination.Stored, UploadError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const flow = new Flow(context, owner, multipart, size, restore)
      return flow.run
    })
  )

/** How long `complete` may take, in milliseconds: some destinations assemble the object before they answer. */
const completeMillis = 600_000

class Flow {
  private readonly context: MultipartUpload.Context
  private readonly owner: MultipartUpload.Owner
  private readonly multipart: Destination.Multipart
  private readonly size: number | undefined
  private readonly restore: Requests.Wait
  private readonly first: Slot
  private readonly outcome: Completion
  /** Whether the session has ended in success, whatever happened to the object. */
  private completed = false
  /** Whether all parts are stored and the completion was requested. */
  private completing = false

  constructor(
    context: MultipartUpload.Context,
    owner: MultipartUpload.Owner,
    multipart: Destination.Multipart,
    size: number | undefined,
    restore: Requests.Wait
  ) {
    this.context = context
    this.owner = owner
    this.multipart = multipart
    this.size = size
    this.restore = restore
    this.outcome = new Completion(context, owner, multipart)
    this.first = Slot.adopt(context, owner)
    owner.disownPermit()
  }

  private get key(): string {
    return this.owner.file.key
  }

  get run(): Effect.Effect<Destination.Stored, UploadError> {
    return Effect.gen(this, function*() {
      const { size } = this
      const plan = size === undefined ? undefined : yield* MultipartUpload.plan(this.context, size)
      const opened = yield* this.open(plan)
      if (!("session" in opened)) return yield* this.commit(opened)
      const result = yield* this.restore(
        Effect.scoped(sendParts(this.context, this.owner, this.multipart, opened, plan))
      ).pipe(
        Effect.flatMap((parts) => this.complete(opened, parts)),
        Effect.exit
      )
      if (Exit.isSuccess(result)) return yield* this.commit(result.value)
      return yield* this.giveUp(opened.session, result.cause)
    }).pipe(Effect.ensuring(Effect.sync(() => this.first.close())))
  }

  /** Records that the object exists. It is recorded before the end of its session, so that a crash in between loses nothing. */
  private commit(stored: Destination.Stored): Effect.Effect<Destination.Stored> {
    const { context: { journal }, key, owner: { fingerprint }, size } = this
    return Effect.gen(this, function*() {
      this.owner.committed(stored)
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
      const known = yield* this.restore(sessionOf(this.context, this.key))
      const resumed = known === undefined ? undefined : yield* this.goOn(known, plan)
      return resumed ?? (yield* this.create(plan))
    })
  }

  private create(plan: PartPlan.PartPlan | undefined): Effect.Effect<Opened | Destination.Stored, UploadError> {
    const { context: { journal, parts: { checksum, partSize } }, key, multipart, owner: { file, fingerprint } } = this
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
          startedAt: this.owner.clock.unsafeCurrentTimeMillis()
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
          modifiedAt: this.owner.modifiedAt,
          mode: this.owner.mode
        }),
        answerMillis(this.owner)
      )
      // Some destinations begin without a request.
      const asking = Effect.suspend(() => {
        asked = true
        return create
      })
      const created = yield* Effect.exit(this.request(asking, { slot: this.first, isHeard: false }))
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
    const { key, multipart, owner } = this
    const uploadId = idOf(multipart)(known)
    if (uploadId === undefined) return Effect.succeed(undefined)
    const session: Destination.Session = { key, uploadId, parts: PartRecords.inOrder(known.parts) }
    return Effect.gen(this, function*() {
      const difference = this.differenceFrom(known, plan)
      if (difference !== undefined || plan === undefined) {
        yield* this.recorded({ _tag: "Restarted", upload: owner, reason: difference ?? "SourceChanged" })
        yield* this.abort(session, this.first)
        return undefined
      }
      const listed = yield* Effect.exit(
        this.request(withDeadline(multipart.listParts(session), answerMillis(owner)), { slot: this.first })
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
          yield* this.resumed(plan.size, plan.count)
          return there.value
        }
        yield* this.ended
        yield* this.recorded({ _tag: "Restarted", upload: owner, reason: "SessionGone" })
        return undefined
      }
      const stored = PartRecords.reconcile(plan, known.parts, listed.value, multipart.limits.inOrder)
      let whole = 0
      for (const part of stored.values()) whole += part.size
      const begun = multipart.limits.inOrder
        ? Math.min(PartRecords.persistedBytes(listed.value, whole), plan.size) - whole
        : 0
      yield* this.resumed(whole + begun, stored.size)
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
    const { context, multipart, owner } = this
    return Effect.gen(this, function*() {
      const isWillful = Option.exists(Cause.failureOption(cause), PartRecords.mayBeginAgain)
      // If a session becomes the object, an abort could remove an object.
      if (!isWillful || multipart.becomesObject) return yield* this.giveUp(session, cause)
      const aborted = yield* MultipartUpload.abort(context, owner, multipart, session, this.first)
      if (Either.isLeft(aborted)) {
        if (aborted.left._tag !== "Rejected") return yield* this.giveUp(session, cause)
        yield* this.recorded({ _tag: "AbortFailed", upload: owner, error: aborted.left })
      }
      yield* this.ended
      yield* this.recorded({ _tag: "Restarted", upload: owner, reason: "PartsUnknown" })
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
    const { context: { parts: { checksum } }, owner: { fingerprint } } = this
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
    const { context, multipart, owner } = this
    const size = parts.reduce((total, part) => total + part.size, 0)
    const checksum = PartRecords.combined(context.parts.checksum, parts)
    this.outcome.etag = Etag.ofParts(parts)
    const call = Effect.tapError(
      withDeadline(
        multipart.complete({ ...session, parts, size, checksum, modifiedAt: owner.modifiedAt, mode: owner.mode }),
        completeMillis
      ),
      (error) =>
        Effect.sync(() => {
          if (error._tag === "Transient") this.outcome.asked = { size, checksum }
        })
    )
    return Effect.gen(this, function*() {
      yield* this.restore(this.unchanged)
      yield* written(context.journal?.flush)
      this.completing = true
      const result = yield* Effect.exit(this.request(call))
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
    const { fingerprint, source } = this.owner
    return source.fingerprint === undefined || fingerprint === undefined
      ? Effect.void
      : Effect.filterOrFail(
        reading(this.owner, () => ofSource(() => source.fingerprint!)),
        (now) => now === fingerprint,
        modified
      )
  }

  /** Aborts or keeps the session and fails, unless it turns out that the object exists after all. */
  private giveUp(
    session: Destination.Session,
    cause: Cause.Cause<UploadError>
  ): Effect.Effect<Destination.Stored, UploadError> {
    const { context: { journal }, outcome: { asked } } = this
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
    const { completing, context: { journal }, owner: { fingerprint, onInterrupt, source } } = this
    const canGoOn = completing ? PartRecords.canComplete : PartRecords.canGoOn
    return onInterrupt === "keep" && journal !== undefined && fingerprint !== undefined && source.reopenable &&
      (error === undefined || (canGoOn(error) && !isOfJournal(error)))
  }

  private resumed(bytes: number, parts: number): Effect.Effect<void> {
    this.owner.resumedBytes = bytes
    return this.recorded({ _tag: "Resumed", upload: this.owner, bytes, parts })
  }

  private recorded(step: Step): Effect.Effect<void> {
    return this.owner.record(step) ?? Effect.void
  }

  private get ended(): Effect.Effect<void> {
    return ended(this.context, this.key)
  }

  private abort(session: Destination.Session, slot?: Slot): Effect.Effect<void> {
    return abandon(this.context, this.owner, this.multipart, session, slot)
  }

  private request<A>(
    call: Effect.Effect<A, UploadError>,
    options?: Pick<Requests.RequestOptions, "slot" | "isHeard">
  ): Effect.Effect<A, UploadError> {
    const { context, owner } = this
    return request(context, owner, () => call, {
      ...options,
      wait: this.restore,
      look: lookAt(context, owner, this.key)
    })
  }
}

const isGone = (cause: Cause.Cause<UploadError>): boolean =>
  Option.exists(Cause.failureOption(cause), (error) => error._tag === "SessionGone")

const isConflict = (cause: Cause.Cause<UploadError>): boolean =>
  Option.exists(Cause.failureOption(cause), (error) => error._tag === "Conflict")
