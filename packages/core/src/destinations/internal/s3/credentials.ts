/**
 * Who asks for a bucket: credentials, asked for once for all requests that wait for them, and asked for again before
 * they expire.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { within } from "../../../internal/calls/within.js"
import { AuthExpired } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as Signer from "./signer.js"

/** Credentials, and until when they are good. */
export interface Credentials extends Signer.Credentials {
  /** In milliseconds since the epoch. */
  readonly expiresAt?: number | undefined
}

/** Credentials that requests are signed with. */
export interface Identity {
  readonly signer: Signer.Signer
  readonly expiresAt: number
  /** Whether they were asked for because others had expired. */
  readonly isRenewed: boolean
  works: boolean
}

/** What credentials could not be had for. */
interface Refusal {
  readonly error: UploadError
  /** Until when nobody asks again, in milliseconds since the epoch. */
  readonly until: number
}

export class Identities {
  private readonly clock: Clock.Clock
  private readonly credentials: Effect.Effect<Credentials, UploadError>
  private latest: Identity | undefined = undefined
  private hasExpired = false
  private refusal: Refusal | undefined = undefined
  /** How often credentials could not be had. */
  private refusals = 0
  private readonly turn = Effect.unsafeMakeSemaphore(1)

  constructor(clock: Clock.Clock, credentials: Effect.Effect<Credentials, UploadError>) {
    this.clock = clock
    this.credentials = credentials
  }

  /** Who asks now; nobody where credentials have to be asked for. */
  get current(): Identity | undefined {
    const { latest } = this
    return latest !== undefined && this.clock.unsafeCurrentTimeMillis() < latest.expiresAt ? latest : undefined
  }

  /** Asks for credentials, once for all who wait for them; and where they cannot be had, once for all, too. */
  readonly asked: Effect.Effect<void, UploadError> = Effect.suspend(() => {
    const before = this.refusals
    return this.turn.withPermits(1)(Effect.suspend(() => {
      const { refusal } = this
      if (this.current !== undefined) return Effect.void
      const isFresh = this.refusals > before ||
        (refusal !== undefined && this.clock.unsafeCurrentTimeMillis() < refusal.until)
      return refusal !== undefined && isFresh
        ? Effect.fail(refusal.error)
        : Effect.matchEffect(within(Effect.disconnect(this.credentials), credentialsMillis, noCredentials), {
          onFailure: (error) => Effect.fail(this.refused(error)),
          onSuccess: (credentials) => Effect.sync(() => this.take(credentials))
        })
    }))
  })

  /** Has others asked for than those that a server calls expired, and tells whether it is worth another try. */
  replace(expired: Identity): boolean {
    if (this.latest !== expired) return true
    if (expired.isRenewed && !expired.works) return false
    this.hasExpired = true
    this.latest = undefined
    return true
  }

  private refused(error: UploadError): UploadError {
    const isPassing = error._tag === "Transient" || error._tag === "Throttled"
    const now = this.clock.unsafeCurrentTimeMillis()
    this.refusals += 1
    this.refusal = { error, until: isPassing ? now : now + refusalMillis }
    return error
  }

  private take(credentials: Credentials): void {
    this.refusal = undefined
    const { expiresAt = Infinity } = credentials
    const now = this.clock.unsafeCurrentTimeMillis()
    this.latest = {
      signer: new Signer.Signer(credentials),
      // What is about to expire would on its way; what has expired is tried, since clocks differ.
      expiresAt: expiresAt - early > now ? expiresAt - early : Infinity,
      isRenewed: this.hasExpired,
      works: false
    }
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How long credentials that could not be had are not asked for again, in milliseconds. */
const refusalMillis = 30_000

/** How long credentials may take, in milliseconds: all uploads wait for them. */
const credentialsMillis = 60_000

const noCredentials = () => new AuthExpired({ detail: "The credentials did not come within a minute." })

/** How long before credentials expire others are asked for, in milliseconds. */
const early = 60_000
