/**
 * A bucket that requests are sent to: its address, its credentials, and the correction of requests that failed for a
 * reason that can be corrected. Each reason is corrected once per request, which is then sent again as part of the same
 * attempt.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as ByteSource from "../../../ByteSource.js"
import type { Body } from "../../../Destination.js"
import { explainMillis, isSuccess } from "../../../internal/transport/answers.js"
import type * as Transport from "../../../Transport.js"
import { Rejected, Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as Address from "./address.js"
import { Identities } from "./credentials.js"
import type { Credentials, Identity } from "./credentials.js"
import * as Errors from "./errors.js"
import * as Evidence from "./evidence.js"
import type { Profile } from "./provider.js"
import * as Signer from "./signer.js"

export interface BucketOptions extends Address.AddressOptions {
  readonly credentials: Effect.Effect<Credentials, UploadError>
}

/** A request to the bucket, or to an object in it. */
export interface BucketRequest {
  readonly method: Transport.Request["method"]
  /** The key without the prefix; `undefined` for the bucket itself. */
  readonly key: string | undefined
  readonly subject: Errors.Subject
  readonly query?: Readonly<Record<string, string>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** A body whose bytes are in memory, or plain bytes. */
  readonly body?: Body | Uint8Array | undefined
  /** How long the body of the answer may take, in milliseconds. Defaults to the limit for explanations. */
  readonly answerMillis?: number | undefined
  /** The most bytes of the answer that are read. Defaults to the transport's limit. */
  readonly answerBytes?: number | undefined
}

/** What can be corrected in a request. */
type Mend = "Clock" | "Credentials" | "Region"

/** The target and the clock of requests. Each request keeps those that it was made with. */
interface Standing {
  readonly region: string
  readonly address: Address.Address
  /** How far the server's clock is ahead of this one, in milliseconds. */
  readonly skew: number
}

export class Bucket {
  readonly name: string
  readonly prefix: string
  private readonly transport: Transport.Transport["Type"]
  private readonly clock: Clock.Clock
  private readonly identities: Identities
  private readonly place: Either.Either<Address.Place, Rejected>
  private standing: Standing | undefined

  constructor(transport: Transport.Transport["Type"], clock: Clock.Clock, options: BucketOptions) {
    this.transport = transport
    this.clock = clock
    this.identities = new Identities(clock, options.credentials)
    this.prefix = options.prefix
    this.name = `s3://${options.bucket}/${options.prefix}`.replace(/\/$/, "")
    this.place = Address.make(options)
    if (Either.isRight(this.place)) {
      const { inRegion, region } = this.place.right
      this.standing = { region, address: inRegion(region), skew: 0 }
    }
  }

  /** The profile of the server; `undefined` if the options lead to none. */
  get profile(): Profile | undefined {
    return Either.isRight(this.place) ? this.place.right.profile : undefined
  }

  /** Sends a request and fails unless the answer is a success. */
  ask(request: BucketRequest): Effect.Effect<Transport.Answer, UploadError> {
    return this.attempt(request, (signed) => this.transport.send(signed), unmended)
  }

  /** Like `ask`, but also fails if the answer is a success by its status only. */
  done(request: BucketRequest): Effect.Effect<Transport.Answer, UploadError> {
    return Effect.flatMap(this.ask(request), (answer) => {
      const problem = Evidence.problem(this.name, answer, request.subject)
      return problem === undefined ? Effect.succeed(answer) : Effect.fail(problem)
    })
  }

  /** Sends a request and returns its answer while the body is still arriving. */
  open(request: BucketRequest): Effect.Effect<Transport.OpenAnswer, UploadError, Scope.Scope> {
    const open = (signed: Transport.Request) =>
      Effect.flatMap(this.transport.open(signed), (answer) =>
        isSuccess(answer)
          ? Effect.succeed(answer)
          : Effect.map(firstBytes(answer.stream), (body) => ({ ...answer, body })))
    return this.attempt(request, open, unmended)
  }

  private attempt<A extends Transport.Head | Transport.Answer, R>(
    request: BucketRequest,
    send: (signed: Transport.Request) => Effect.Effect<A, UploadError, R>,
    mended: ReadonlySet<Mend>
  ): Effect.Effect<A, UploadError, R> {
    return Effect.suspend(() => {
      const { standing } = this
      if (standing === undefined) return Effect.flatMap(this.place, () => Effect.never)
      const identity = this.identities.current
      if (identity === undefined) {
        return Effect.zipRight(this.identified(request), this.attempt(request, send, mended))
      }
      const signed = this.signed(request, standing, identity)
      if (Either.isLeft(signed)) return Effect.fail(signed.left)
      return Effect.flatMap(send(signed.right), (answer) => {
        if (isSuccess(answer)) {
          identity.works = true
          return Effect.succeed(answer)
        }
        const error = Errors.read(
          { ...answer, body: "body" in answer ? answer.body : nothing },
          this.clock.unsafeCurrentTimeMillis(),
          secretsOf(signed.right)
        )
        const failure = Errors.classify(this.name, error, request.subject)
        return Effect.flatMap(this.mend(error, standing, identity, mended), (mend) => {
          if (mend === undefined) return Effect.fail(failure)
          const { body } = request
          if (body !== undefined && !(body instanceof Uint8Array)) {
            // A body that cannot be taken twice needs another attempt.
            if (body.again === undefined) {
              return Effect.fail(new Transient({ reason: "Unavailable", detail: failure.message }))
            }
            body.again()
          }
          return this.attempt(request, send, new Set([...mended, mend]))
        })
      })
    })
  }

  // ---------------------------------------------------------------------------
  // requests
  // ---------------------------------------------------------------------------

  private signed(
    { answerBytes, answerMillis = explainMillis, body, headers = {}, key, method, query }: BucketRequest,
    { address, region, skew }: Standing,
    { signer }: Identity
  ): Either.Either<Transport.Request, UploadError> {
    const { host, isSafe, origin, root } = address
    let path = root === "" ? "/" : root
    if (key !== undefined) {
      const full = this.prefix + key
      const problem = Address.keyProblem(full)
      if (problem !== undefined) {
        return Either.left(
          new Rejected({ reason: "InvalidKey", detail: `The key ${JSON.stringify(full.slice(0, 200))} ${problem}.` })
        )
      }
      path = `${root}/${Address.encodeKey(full)}`
    }
    const search = query === undefined ? "" : Address.encodeQuery(query)
    const isRead = body === undefined || body instanceof Uint8Array
    // An unencrypted payload could be changed on its way, so the signature covers it.
    const sum = isRead || isSafe ? undefined : body.sum?.("sha256")
    if (!isRead && !isSafe && sum === undefined) {
      return Either.left(
        new Rejected({ reason: "Unsupported", detail: `${this.name} requires TLS for bodies like this.` })
      )
    }
    const payload = isRead
      ? body === undefined ? emptyHash : Signer.hashOf(body)
      : sum === undefined
      ? Signer.unsigned
      : Signer.hexOf(sum)
    const now = this.clock.unsafeCurrentTimeMillis() + skew
    const signed = signer.sign({ method, host, path, query: search, headers, payload }, region, now)
    return Either.right({
      method,
      url: search === "" ? origin + path : `${origin}${path}?${search}`,
      headers: signed,
      body,
      answerMillis,
      answerBytes,
      // The answer is compared with the body.
      keepsBody: !isRead
    })
  }

  /** Waiting for credentials is not a stall. */
  private identified({ body }: BucketRequest): Effect.Effect<void, UploadError> {
    const { asked } = this.identities
    return body === undefined || body instanceof Uint8Array ? asked : body.unwatched(asked)
  }

  private change(change: Partial<Standing>): void {
    if (this.standing !== undefined) this.standing = { ...this.standing, ...change }
  }

  // ---------------------------------------------------------------------------
  // mending
  // ---------------------------------------------------------------------------

  /** Corrects what the answer says is wrong with the request, and returns what that was, if anything. */
  private mend(
    error: Errors.S3Error,
    used: Standing,
    identity: Identity,
    mended: ReadonlySet<Mend>
  ): Effect.Effect<Mend | undefined> {
    const { code, serverTime, status } = error
    if (!mended.has("Clock") && serverTime !== undefined && status >= 400 && status <= 403) {
      const skew = serverTime - this.clock.unsafeCurrentTimeMillis()
      if (Math.abs(skew - used.skew) > tolerance) {
        this.change({ skew })
        return Effect.succeed("Clock")
      }
    }
    if (Errors.expired.has(code)) {
      const isReplaced = !mended.has("Credentials") && this.identities.replace(identity)
      return isReplaced ? Effect.succeed("Credentials") : nothingMended
    }
    const isMisdirected = Errors.misdirected.has(code) || status === 301 || status === 307 || status === 400
    if (!isMisdirected || mended.has("Region")) return nothingMended
    const moved = (region: string | undefined): Mend | undefined =>
      region !== undefined && this.move(region, used) ? "Region" : undefined
    if (error.region !== undefined) return Effect.succeed(moved(error.region))
    // Some servers give no reason in answer to a look.
    return Errors.misdirected.has(code) || status === 301 || code === ""
      ? Effect.map(this.askRegion(used, identity), moved)
      : nothingMended
  }

  /** Switches to a region, and returns whether it differs from the one that the request went to. */
  private move(region: string, used: Standing): boolean {
    if (region === used.region || !Address.isRegion(region) || Either.isLeft(this.place)) return false
    if (region !== this.standing?.region) this.change({ region, address: this.place.right.inRegion(region) })
    return true
  }

  /** The region of the bucket, which answers reveal in a header or an error even to clients without access. */
  private askRegion(used: Standing, identity: Identity): Effect.Effect<string | undefined> {
    const ask = (method: "GET" | "HEAD"): Effect.Effect<string | undefined> => {
      const query = method === "GET" ? { location: "" } : undefined
      const request = this.signed({ method, key: undefined, subject: "object", query }, used, identity)
      return Either.isLeft(request)
        ? Effect.succeed(undefined)
        : Effect.match(this.transport.send(request.right), {
          onFailure: () => undefined,
          onSuccess: (answer) => Errors.read(answer, 0).region
        })
    }
    return Effect.flatMap(ask("HEAD"), (region) => region === undefined ? ask("GET") : Effect.succeed(region))
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How far apart clocks may be, in milliseconds: servers allow 15 minutes. */
const tolerance = 240_000

const unmended: ReadonlySet<Mend> = new Set()

const nothingMended = Effect.succeed(undefined)

/** How much of an answer that is not a success is read, in bytes. */
const excerpt = 64 * 1024

const nothing = new Uint8Array(0)

const emptyHash = Signer.hashOf(nothing)

const firstBytes = (stream: Stream.Stream<Uint8Array, UploadError>): Effect.Effect<Uint8Array, UploadError> =>
  Stream.runFoldWhile<Uint8Array, UploadError, never, Uint8Array>(
    stream,
    nothing,
    (bytes) => bytes.length < excerpt,
    (bytes, block) => ByteSource.concat([bytes, block])
  )

/** The secrets of a request, which must not appear in a message. */
const secretsOf = ({ headers }: Transport.Request): ReadonlyArray<string> => {
  const authorization = headers["authorization"] ?? ""
  const signature = /Signature=(\w+)/.exec(authorization)?.[1]
  return [authorization, signature, headers["x-amz-security-token"]].flatMap((secret) => secret || [])
}
