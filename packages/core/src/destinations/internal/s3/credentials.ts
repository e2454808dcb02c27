/**
 * The credentials for a bucket: requested once for all requests that wait for them, and renewed before they expire.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { within } from "../../../internal/calls/within.js"
import { Transient } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import * as Signer from "./signer.js"

/** Credentials, and when they expire. */
export interface Credentials extends Signer.Credentials {
  /** When they expire, in milliseconds since the epoch. */
  readonly expiresAt?: number | undefined
}

/** Credentials that requests are signed with. */
export interface Identity {
  readonly signer: Signer.Signer
  readonly expiresAt: number
  /** Whether they were requested because others had expired. */
  readonly isRenewed: boolean
  works: boolean
}

/** Why credentials could not be had. */
interface Refusal {
  readonly error: UploadError
  /** Until when no new request is made, in milliseconds since the epoch. */
  readonly until: number
}

export class Identities {
  private readonly clock: Clock.Clock
  private readonly credentials: Effect.Effect<Credentials, UploadError>
  private latest: Identity | undefined = undefined
  private hasExpired = false
  private refusal: Refusal | undefined = undefined
  private asking: Fiber.RuntimeFiber<Credentials, UploadError> | undefined = undefined
  private waiting = 0
  private readonly turn = Effect.unsafeMakeSemaphore(1)

  constructor(clock: Clock.Clock, credentials: Effect.Effect<Credentials, UploadError>) {
    this.clock = clock
    this.credentials = credentials
  }

  /** The current credentials; `undefined` if they must be requested. */
  get current(): Identity | undefined {
    const { latest } = this
    return latest !== undefined && this.clock.unsafeCurrentTimeMillis() < latest.expiresAt ? latest : undefined
  }

  /**
   * Requests credentials, once for all uploads that wait for them, also when they cannot be obtained. An upload that
   * has waited for a minute fails; the request continues for others, until the last upload that waits for it is
   * interrupted.
   */
  readonly asked: Effect.Effect<void, UploadError> = Effect.suspend(() => {
    const { refusal } = this
    if (this.current !== undefined) return Effect.void
    if (refusal !== undefined && this.clock.unsafeCurrentTimeMillis() < refusal.until) return Effect.fail(refusal.error)
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(this.question, (fiber) => {
        this.waiting += 1
        return restore(Effect.asVoid(within(Fiber.join(fiber), credentialsMillis, late))).pipe(
          Effect.onInterrupt(() => {
            if (this.waiting > 1 || this.asking !== fiber) return Effect.void
            this.asking = undefined
            return Fiber.interruptFork(fiber)
          }),
          Effect.ensuring(Effect.sync(() => {
            this.waiting -= 1
          }))
        )
      })
    )
  })

  /** The request in progress, or a new one. */
  private readonly question: Effect.Effect<Fiber.RuntimeFiber<Credentials, UploadError>> = this.turn.withPermits(1)(
    Effect.suspend(() =>
      this.asking !== undefined
        ? Effect.succeed(this.asking)
        : Effect.map(Effect.forkDaemon(Effect.interruptible(this.credentials)), (fiber) => {
          this.asking = fiber
          fiber.addObserver((exit) => {
            if (this.asking === fiber) this.asking = undefined
            Exit.match(exit, {
              onFailure: (cause) => Option.map(Cause.failureOption(cause), (error) => this.refused(error)),
              onSuccess: (credentials) => this.take(credentials)
            })
          })
          return fiber
        })
    )
  )

  /**
   * Requests new credentials in place of those that a server calls expired, and returns whether another try is
   * worthwhile.
   */
  replace(expired: Identity): boolean {
    if (this.latest !== expired) return true
    if (expired.isRenewed && !expired.works) return false
    this.hasExpired = true
    this.latest = undefined
    return true
  }

  private refused(error: UploadError): void {
    const isPassing = error._tag === "Transient" || error._tag === "Throttled"
    this.refusal = isPassing ? undefined : { error, until: this.clock.unsafeCurrentTimeMillis() + refusalMillis }
  }

  private take(credentials: Credentials): void {
    this.refusal = undefined
    const { expiresAt = Infinity } = credentials
    const now = this.clock.unsafeCurrentTimeMillis()
    this.latest = {
      signer: new Signer.Signer(credentials),
      // Credentials about to expire would do so on their way; expired ones are tried, since clocks differ.
      expiresAt: expiresAt - early > now ? expiresAt - early : Infinity,
      isRenewed: this.hasExpired,
      works: false
    }
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How long credentials that could not be obtained are not requested again, in milliseconds. */
const refusalMillis = 30_000

/** How long an upload waits for credentials, in milliseconds. */
const credentialsMillis = 60_000

const late = () =>
  new Transient({ reason: "Stalled", detail: "The credentials have not arrived for a minute, and may still arrive." })

/** How long before credentials expire new ones are requested, in milliseconds. */
const early = 60_000
