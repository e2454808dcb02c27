/**
 * A destination that was reachable and now is not: it is "away". One waiter checks it again and again (each check is a
 * "look"), instead of all uploads retrying until their retries are spent.
 *
 * ```
 *   failures in a row, and none that was answered      a look fails
 *   here ─────────────────────────────────▶ suspected ─────────────▶ away ──▶ looks, ever further apart
 *     ▲      a look is answered: it was a few unlucky uploads │          │
 *     └───────────────────────────────────────────────────────┴──────────┘  a look, or anything else, is answered
 * ```
 *
 * Meanwhile, failed and new uploads wait and hold nothing; the attempts lost to an outage are not counted. Nothing
 * waits for a destination that was never reached, or that is away for too long: then failures count again. A look that
 * is answered proves no more than that: until a request is answered, the time away adds up.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { RetryPolicy } from "../../RetryPolicy.js"
import type { RetryBudget } from "../../unstable/RetryBudget.js"
import type { UploadError } from "../../UploadError.js"
import { isSourceError } from "../../UploadError.js"
import * as InFlight from "../limits/inFlight.js"
import * as Decode from "../values/decode.js"

/** A change that watchers are notified of. */
export type Change =
  | { readonly state: "Away"; readonly since: number; readonly error: UploadError }
  | { readonly state: "Back" | "GivenUp"; readonly since: number }

/** A look at the destination: whether it answers at all. */
export type Look = Effect.Effect<unknown, UploadError>

export interface OutageOptions {
  readonly policy: RetryPolicy
  /** The budget to which retries caused by an outage are given back. */
  readonly budget: RetryBudget
  readonly changed: (change: Change) => void
}

/** One period in which the destination is away, or may be. */
interface Episode {
  readonly since: number
  readonly error: UploadError
  /** Whether a look has failed. */
  isConfirmed: boolean
  nextLookAt: number
  pause: number
}

/** The number of failures in a row that is always enough, however many uploads are in flight. */
const mostFailures = 50

/** The number of failures needed if few uploads are in flight. */
const fewFailures = 3

/** The pauses between looks, in milliseconds: at first, and at most. */
const pauses = { least: 250, most: 5_000 }

export class Outage {
  private readonly options: OutageOptions
  private readonly limitMillis: number
  private readonly fewest: number
  private readonly turn = InFlight.make(1)
  private wasReached = false
  /** For how long it was away since a request was answered, in milliseconds, and how far apart looks are next. */
  private awayMillis = 0
  private pause: number = pauses.least
  private failures = 0
  private mostInFlight = 0
  private episode: Episode | undefined = undefined
  /** The change that new watchers are told. */
  current: Change | undefined = undefined

  constructor(options: OutageOptions) {
    const { attempts, outage = Duration.zero } = options.policy
    this.options = options
    this.limitMillis = attempts === 1 ? 0 : Decode.millis("outage", outage, { orNone: true })
    this.fewest = Math.max(1, Math.min(fewFailures, attempts - 1))
  }

  /** Whether the destination is away, or may be. */
  get isSuspected(): boolean {
    return this.episode !== undefined
  }

  /** A request was answered. A request from before the outage says nothing about now. */
  answered(startedAt: number): void {
    this.wasReached = true
    if (this.episode !== undefined && startedAt < this.episode.since) return
    this.awayMillis = 0
    this.pause = pauses.least
    this.failures = 0
    this.mostInFlight = 0
    if (this.episode !== undefined) this.end("Back")
  }

  /** A request has failed, one of `inFlight`. Returns whether the destination is away, or may be. */
  failed(now: number, error: UploadError, startedAt: number, inFlight: number): boolean {
    if (error._tag !== "Transient") {
      if (!saysNothing(error)) this.answered(startedAt)
      return false
    }
    if (this.limitMillis === 0 || !this.wasReached) return false
    if (this.episode !== undefined) return true
    this.failures += 1
    this.mostInFlight = Math.max(this.mostInFlight, inFlight)
    if (this.failures < Math.min(mostFailures, Math.max(this.fewest, this.mostInFlight))) return false
    this.episode = { since: now, error, isConfirmed: false, nextLookAt: now, pause: this.pause }
    return true
  }

  /**
   * Waits until the destination is back, or has been away for too long; the first in line looks. Returns whether it was
   * away at all. A waiter may be interrupted; the next one then looks.
   */
  over(clock: Clock.Clock, look: Look): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const { episode } = this
      return episode === undefined
        ? Effect.succeed(false)
        : Effect.map(this.turn.withPermits(1)(this.looking(clock, episode, look)), () => episode.isConfirmed)
    })
  }

  private looking(clock: Clock.Clock, episode: Episode, look: Look): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.episode !== episode) return Effect.void
      const now = clock.unsafeCurrentTimeMillis()
      const end = episode.since + this.limitMillis - this.awayMillis
      if (episode.isConfirmed && now >= end) {
        this.wasReached = false
        this.end("GivenUp")
        return Effect.void
      }
      const wait = Math.min(episode.nextLookAt, end) - now
      if (wait > 0) return Effect.zipRight(clock.sleep(Duration.millis(wait)), this.looking(clock, episode, look))
      return Effect.flatMap(
        Effect.zip(Effect.either(look), Random.next),
        ([found, chance]) => {
          const at = clock.unsafeCurrentTimeMillis()
          if (found._tag === "Left" && saysAway(found.left, episode.error)) this.missed(at, episode, chance)
          else if (this.episode === episode) this.unproven(at, episode)
          return this.looking(clock, episode, look)
        }
      )
    })
  }

  /** A look was answered, which does not mean that a request is. */
  private unproven(now: number, episode: Episode): void {
    if (episode.isConfirmed) {
      this.awayMillis += now - episode.since
      this.pause = episode.pause
    }
    this.end("Back")
  }

  /** A look has failed: the next one comes later, by half to all of the pause. */
  private missed(now: number, episode: Episode, chance: number): void {
    episode.nextLookAt = now + Math.ceil(episode.pause * (1 + chance) / 2)
    episode.pause = Math.min(pauses.most, episode.pause * 2)
    if (episode.isConfirmed || this.episode !== episode) return
    episode.isConfirmed = true
    for (let retries = 1; retries < this.failures; retries++) this.options.budget.refund(1)
    this.current = { state: "Away", since: episode.since, error: episode.error }
    this.options.changed(this.current)
  }

  private end(state: "Back" | "GivenUp"): void {
    const { episode } = this
    this.episode = undefined
    this.current = undefined
    this.failures = 0
    this.mostInFlight = 0
    if (episode?.isConfirmed === true) this.options.changed({ state, since: episode.since })
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/**
 * Whether a look says that the destination is away. A server that answers, even that it is in trouble, is there, unless
 * that is exactly the failure found before: a proxy in front of a server says so while the server itself is away.
 */
const saysAway = (look: UploadError, found: UploadError): boolean =>
  look._tag === "Transient" &&
  (look.reason !== "Unavailable" || (found._tag === "Transient" && found.reason === "Unavailable"))

/** Failures that are unrelated to the destination. */
const saysNothing = (error: UploadError): boolean =>
  isSourceError(error) || (error._tag === "Rejected" && error.reason === "Unexpected")
