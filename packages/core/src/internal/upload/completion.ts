/**
 * Checks whether an object exists, to settle a completion that was requested but not answered.
 */
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Checksum from "../../Checksum.js"
import type * as Destination from "../../Destination.js"
import type { UploadError } from "../../UploadError.js"
import { eachBlock, sourceStream } from "../bytes/watch.js"
import { withDeadline } from "../calls/deadline.js"
import type * as PartPlan from "../calls/partPlan.js"
import * as PartRecords from "../calls/partRecords.js"
import * as Etag from "../values/etag.js"
import { call } from "./call.js"
import type { Env } from "./env.js"
import type { Upload } from "./upload.js"

/** The expected content of an object. */
export interface Content {
  readonly size: number
  readonly checksum: Checksum.Checksum | undefined
}

export class Completion {
  private readonly env: Env
  private readonly upload: Upload
  private readonly multipart: Destination.Multipart
  /** The content of a completion whose outcome is unknown. */
  asked: Content | undefined = undefined
  /** The etag that S3 gives an object made of the stored parts, if it can be derived from them. */
  etag: string | undefined = undefined
  /** Whether an earlier process may also have requested completion. */
  mayBeOlder = false
  /** Whether the session existed when `settle` looked, or may have. */
  mayBeOpen = false
  /** The object that was there while the session existed, if known. */
  private before: Option.Option<Destination.Head> | undefined = undefined

  constructor(env: Env, upload: Upload, multipart: Destination.Multipart) {
    this.env = env
    this.upload = upload
    this.multipart = multipart
  }

  /**
   * Whether the object exists although no answer said so. If only its size suggests that, the session must be gone, and
   * as a result of a completion request: an older version could have the same size.
   */
  settle(
    session: Destination.Session,
    content: Content,
    isKnownGone: boolean
  ): Effect.Effect<Option.Option<Destination.Stored>> {
    const { asked, mayBeOlder, multipart } = this
    if (asked === undefined && !isKnownGone && !mayBeOlder) return Effect.succeedNone
    return Effect.gen(this, function*() {
      const gone = isKnownGone || (yield* this.inTime(multipart.listParts(session)).pipe(
        Effect.match({ onFailure: (error) => error._tag === "SessionGone", onSuccess: () => false })
      ))
      this.mayBeOpen = !gone
      return yield* this.look((found) => this.isOurs(found, content) ?? (gone && asked !== undefined))
    })
  }

  /** Like `settle`, after the session has been aborted: a change since it existed came from it. */
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

  /**
   * The object, if its etag is the MD5 of the source's content or is made of the MD5s of its parts. This identifies the
   * object when the same content was there before and it is unknown whether it was stored once more. It costs reading
   * the source, but no sending.
   */
  lookByContent({ count, partSize, size }: PartPlan.PartPlan): Effect.Effect<Option.Option<Destination.Stored>> {
    return Effect.flatMap(
      this.look(({ etag, size: found }) =>
        found === size && (Etag.md5Of(etag) !== undefined || Etag.partCountOf(etag) === count)
      ),
      Option.match({
        onNone: () => Effect.succeedNone,
        onSome: (stored) => {
          const isWhole = Etag.md5Of(stored.etag) !== undefined
          return Effect.match(this.etagOfSource(isWhole ? undefined : partSize), {
            onFailure: () => Option.none(),
            onSuccess: (etag) => Etag.read(stored.etag)?.toLowerCase() === etag ? Option.some(stored) : Option.none()
          })
        }
      })
    )
  }

  /** The etag of the source's content, put in one request or in parts of a given size. */
  private etagOfSource(partSize: number = Infinity): Effect.Effect<string | undefined, UploadError> {
    return Effect.suspend(() => {
      const { fingerprint, source } = this.upload
      const parts: Array<{ readonly etag: string }> = []
      let fold = Checksum.make("md5")
      let left = partSize
      const cut = () => {
        parts.push({ etag: Encoding.encodeHex(fold.digest()) })
        fold = Checksum.make("md5")
        left = partSize
      }
      const update = (block: Uint8Array): void => {
        for (let from = 0; from < block.length;) {
          if (left === 0) cut()
          const to = Math.min(block.length, from + left)
          fold.update(block.subarray(from, to))
          left -= to - from
          from = to
        }
      }
      return Effect.map(
        this.upload.run.stalls.reading((watched) =>
          eachBlock(sourceStream(() => source.read({ offset: 0, fingerprint })), (block) => {
            update(block)
            watched.onAsk()
            return false
          })
        ),
        () => {
          cut()
          return partSize === Infinity ? Etag.read(parts[0]?.etag) : Etag.ofParts(parts)
        }
      )
    })
  }

  isOurs(found: Destination.Head, content: Content): boolean | undefined {
    return PartRecords.isSame(found, { ...content, etag: this.etag, modifiedAt: this.upload.modifiedAt })
  }

  look(isIt: (found: Destination.Head) => boolean): Effect.Effect<Option.Option<Destination.Stored>> {
    const { destination: { head } } = this.env
    if (head === undefined) return Effect.succeedNone
    return this.inTime(head(this.upload.file.key)).pipe(
      Effect.map((found) => {
        this.before = found
        return Option.filter(found, isIt)
      }),
      Effect.catchAllCause(() => Effect.succeedNone)
    )
  }

  /** Makes a request despite an interruption: its answer decides the result. */
  private inTime<A>(request: Effect.Effect<A, UploadError>): Effect.Effect<A, UploadError> {
    const { env, upload } = this
    return call(env, upload, { name: "look", send: () => withDeadline(request, upload.run.answerMillis) })
  }
}
