/**
 * Whole objects in a bucket: put, look, read, remove.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Algorithm } from "../../../Checksum.js"
import type { Body, Head, PutRequest, Stored } from "../../../Destination.js"
import * as Etag from "../../../internal/values/etag.js"
import type { Answer } from "../../../Transport.js"
import { Conflict, IntegrityMismatch, Rejected } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import type { Bucket } from "./bucket.js"
import * as Evidence from "./evidence.js"
import * as Look from "./look.js"
import * as Metadata from "./metadata.js"
import * as Provider from "./provider.js"

export interface ObjectOptions extends Metadata.MetadataOptions {
  readonly ifAbsent?: boolean | undefined
}

/** What an answer says was stored. */
type Said = Pick<Stored, "checksum" | "etag">

/** Operations on whole objects, and the headers that describe all written objects. */
export class Objects {
  readonly bucket: Bucket
  readonly profile: Provider.Profile
  readonly describe: ReturnType<typeof Metadata.make>
  private readonly ifAbsent: boolean
  /** Keys that must be absent, for which an unanswered request of ours may have changed that. */
  private readonly inDoubt = new Set<string>()
  /** The algorithms that the server has proved not to check. */
  private readonly unchecked = new Set<Algorithm>()

  constructor(bucket: Bucket, options: ObjectOptions) {
    this.bucket = bucket
    this.profile = bucket.profile ?? Provider.of("other")
    this.describe = Metadata.make(options, this.profile)
    this.ifAbsent = options.ifAbsent === true
  }

  /** Puts an object in one request. */
  put(request: PutRequest): Effect.Effect<Stored, UploadError> {
    const headers = this.describe(request)
    if (headers._tag === "Left") return headers
    return Effect.flatMap(request.body.whole, (body) => {
      const { checksum } = body
      if (checksum !== undefined) {
        if (this.unchecked.has(checksum.algorithm)) return Effect.fail(unverified(this.bucket, checksum.algorithm))
        headers.right[Look.headerOf(checksum.algorithm)] = checksum.value
      }
      if (this.ifAbsent) return this.putIfAbsent(request, body, headers.right)
      return this.send(request, body, headers.right)
    })
  }

  /** A cheap look at an object. */
  head(key: string): Effect.Effect<Option.Option<Head>, UploadError> {
    return Look.head(this.bucket, this.profile, key)
  }

  /** The bytes of an object. */
  read(key: string): Stream.Stream<Uint8Array, UploadError> {
    return Stream.unwrapScoped(
      Effect.map(
        this.bucket.open({ method: "GET", key, subject: "object" }),
        (answer) => Evidence.isOfPage(answer) ? Stream.fail(Evidence.pageOf(this.bucket.name)) : answer.stream
      )
    )
  }

  /** Removes an object if it exists. */
  remove(key: string): Effect.Effect<void, UploadError> {
    return Effect.catchIf(
      Effect.asVoid(this.bucket.done({ method: "DELETE", key, subject: "object" })),
      (error) => Look.isMissing(error) && !error.detail.includes("NoSuchBucket"),
      () => Effect.void
    )
  }

  /**
   * The header for a condition. If it is not known whether the server heeds it, a look comes first. Fails if the server
   * has no such condition, or if the look cannot tell either.
   */
  condition(key: string, isHeeded: boolean | undefined): Effect.Effect<Record<string, string>, UploadError> {
    const { name } = this.bucket
    if (!this.ifAbsent) return Effect.succeed({})
    switch (isHeeded) {
      case true:
        return Effect.succeed(absent)
      case false:
        return Effect.fail(
          new Rejected({
            reason: "Unsupported",
            detail: `${name} cannot be told to leave existing objects alone.`
          })
        )
      case undefined:
        return Effect.matchEffect(this.head(key), {
          onFailure: (error) =>
            Effect.fail(
              error._tag !== "Rejected" || error.reason === "InvalidKey" ? error : new Rejected({
                reason: error.reason === "Unauthorized" ? "Unauthorized" : "Unsupported",
                detail:
                  `It is unknown whether ${key} exists: ${error.detail} It is also unknown whether this server leaves ` +
                  "existing objects alone.",
                cause: error
              })
            ),
          onSuccess: (found) =>
            Option.isNone(found)
              ? Effect.succeed(absent)
              : Effect.fail(new Conflict({ detail: `${key} already exists at ${name}.` }))
        })
    }
  }

  /** Fails if the server is known not to check an algorithm. */
  checking(algorithm: Algorithm | undefined): Effect.Effect<void, Rejected> {
    return algorithm !== undefined && this.unchecked.has(algorithm)
      ? Effect.fail(unverified(this.bucket, algorithm))
      : Effect.void
  }

  /**
   * What an answer says was stored, for comparison with what was sent. If the server does not repeat a checksum, it may
   * not have checked it: then an etag that is the MD5 of the bytes must show that they have arrived.
   */
  storedBy({ headers }: Answer, body: Body, etagIsMd5: boolean): Effect.Effect<Said, UploadError> {
    const { bucket, profile } = this
    const etag = Etag.read(headers["etag"])
    const sent = body.checksum
    if (sent === undefined) return Effect.succeed({ etag, checksum: undefined })
    const { algorithm } = sent
    const md5 = Look.md5Of(headers, profile)
    if (algorithm === "md5") return Effect.succeed({ etag, checksum: etagIsMd5 ? md5 : undefined })
    const value = headers[Look.headerOf(algorithm)]
    const said: Said = { etag, checksum: value === undefined ? undefined : { algorithm, value } }
    const isKnown = profile.checksums.includes(algorithm)
    // Other servers may repeat what they have not checked.
    if (value !== undefined && isKnown) return Effect.succeed(said)
    const own = md5 === undefined ? undefined : body.sum?.("md5")
    if (md5 !== undefined && own !== undefined) {
      if (md5.value === own.value) return Effect.succeed(said)
      if (etagIsMd5 || (!isKnown && value === undefined)) return Effect.fail(damaged(bucket, own.value, md5.value))
    }
    if (value !== undefined || isKnown) return Effect.succeed(said)
    this.unchecked.add(algorithm)
    return Effect.fail(unverified(bucket, algorithm))
  }

  private send(
    { key, modifiedAt }: PutRequest,
    body: Body,
    headers: Record<string, string>
  ): Effect.Effect<Stored, UploadError> {
    return Effect.flatMap(
      this.bucket.done({ method: "PUT", key, subject: "object", headers, body }),
      (answer): Effect.Effect<Stored, UploadError> =>
        Effect.flatMap(
          Etag.read(answer.headers["etag"]) === undefined
            ? this.found(key, body, modifiedAt)
            : this.storedBy(answer, body, this.profile.etagIsMd5),
          ({ checksum, etag }) => {
            body.release()
            return Effect.succeed({ etag, checksum, size: body.size })
          }
        )
    )
  }

  /** Looks up an object whose answer does not show that it was stored. */
  private found(key: string, body: Body, modifiedAt: number | undefined): Effect.Effect<Said, UploadError> {
    const problem = Evidence.without(this.bucket.name, "etag")
    return Effect.matchEffect(this.head(key), {
      onFailure: () => Effect.fail(problem),
      onSuccess: (found) =>
        Option.isSome(found) && isSame(found.value, body, modifiedAt)
          ? Effect.succeed({ etag: found.value.etag, checksum: undefined })
          : Effect.fail(problem)
    })
  }

  /** A conflict after a request whose answer was lost may be with that request: a look settles it. */
  private putIfAbsent(
    request: PutRequest,
    body: Body,
    headers: Record<string, string>
  ): Effect.Effect<Stored, UploadError> {
    const { key, modifiedAt } = request
    const wasInDoubt = this.inDoubt.has(key)
    return Effect.flatMap(
      this.condition(key, this.profile.conditionalPut),
      (condition) => this.send(request, body, { ...headers, ...condition })
    ).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          const isLost = Exit.isInterrupted(exit) || (Exit.isFailure(exit) && exit.cause._tag === "Fail" &&
            exit.cause.error._tag === "Transient")
          if (isLost) this.inDoubt.add(key)
          else this.inDoubt.delete(key)
        })
      ),
      Effect.catchTag("Conflict", (conflict) =>
        wasInDoubt
          ? Effect.flatMap(this.head(key), (found) =>
            Option.exists(found, (head) => isSame(head, body, modifiedAt))
              ? Effect.succeed<Stored>({ etag: Option.getOrUndefined(found)?.etag, size: body.size })
              : Effect.fail(conflict))
          : Effect.fail(conflict))
    )
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const absent: Record<string, string> = { "if-none-match": "*" }

const unverified = ({ name }: Bucket, algorithm: Algorithm) =>
  new Rejected({
    reason: "Unsupported",
    detail: `${name} does not verify ${algorithm}: nothing in its answer shows that it stored what was sent. ` +
      "Use md5, or no checksum."
  })

const damaged = ({ name }: Bucket, sent: string, stored: string) =>
  new IntegrityMismatch({
    reason: "Checksum",
    detail: `The object at ${name} has the md5 ${stored}, not ${sent}.`
  })

const isSame = (head: Head, body: Body, modifiedAt: number | undefined): boolean => {
  const sum = head.checksum === undefined ? undefined : body.sum?.(head.checksum.algorithm)
  return head.size === body.size && sum !== undefined && sum.value === head.checksum?.value &&
    (modifiedAt === undefined || head.modifiedAt === Math.round(modifiedAt))
}
