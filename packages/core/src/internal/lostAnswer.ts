/**
 * What has become of an object whose completion was asked for, and not answered: that is settled by looking.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Checksum from "../Checksum.js"
import type * as Destination from "../Destination.js"
import type * as MultipartUpload from "../MultipartUpload.js"
import type { UploadError } from "../UploadError.js"
import * as PartRecords from "./partRecords.js"
import { bounded, request, requestMillis } from "./requests.js"

/** What an object is to hold. */
export interface Content {
  readonly size: number
  readonly checksum: Checksum.Checksum | undefined
}

export class LostAnswer {
  private readonly context: MultipartUpload.Context
  private readonly owner: MultipartUpload.Owner
  private readonly multipart: Destination.Multipart
  /** What was asked to be completed, where nobody knows whether it was. */
  asked: Content | undefined = undefined
  /** What was there when the session still was, as far as that is known. */
  private before: Option.Option<Destination.Head> | undefined = undefined

  constructor(context: MultipartUpload.Context, owner: MultipartUpload.Owner, multipart: Destination.Multipart) {
    this.context = context
    this.owner = owner
    this.multipart = multipart
  }

  /**
   * Whether the object is there although nobody said so. Where only its size speaks for that, the session must be gone,
   * and by being asked to complete: an older version could be of the same size.
   */
  settle(
    session: Destination.Session,
    content: Content,
    isKnownGone: boolean
  ): Effect.Effect<Option.Option<Destination.Stored>> {
    const { asked, multipart } = this
    if (asked === undefined && !isKnownGone) return Effect.succeedNone
    return Effect.gen(this, function*() {
      const gone = isKnownGone || (yield* this.inTime(multipart.listParts(session)).pipe(
        Effect.match({ onFailure: (error) => error._tag === "SessionGone", onSuccess: () => false })
      ))
      return yield* this.look((found) => this.isOurs(found, content) ?? (gone && asked !== undefined))
    })
  }

  /** As `settle`, when the session has been aborted: what changed since it was there has come of it. */
  settleAfterAbort(content: Content): Effect.Effect<Option.Option<Destination.Stored>> {
    const { before } = this
    return this.look((found) =>
      this.isOurs(found, content) ?? (before !== undefined &&
        Option.match(before, {
          onNone: () => true,
          onSome: ({ etag, modifiedAt, size }) =>
            found.etag !== etag || found.modifiedAt !== modifiedAt || found.size !== size
        }))
    )
  }

  isOurs(found: Destination.Head, content: Content): boolean | undefined {
    return PartRecords.isSame(found, { ...content, modifiedAt: this.owner.modifiedAt })
  }

  look(isIt: (found: Destination.Head) => boolean): Effect.Effect<Option.Option<Destination.Stored>> {
    const { destination: { head } } = this.context
    if (head === undefined) return Effect.succeedNone
    return this.inTime(head(this.owner.file.key)).pipe(
      Effect.map((found) => {
        this.before = found
        return Option.filter(found, isIt)
      }),
      Effect.catchAllCause(() => Effect.succeedNone)
    )
  }

  /** A request that an interruption does not keep from being made: what it tells decides what the result says. */
  private inTime<A>(call: Effect.Effect<A, UploadError>): Effect.Effect<A, UploadError> {
    return request(this.context, this.owner, () => bounded(call, requestMillis))
  }
}
