/**
 * The gate of a run. It is shut while the run is paused, and while too many uploads wait in a backoff or for their
 * result to be reported: no further file is taken then.
 */
import * as Effect from "effect/Effect"
import type { RunChanged } from "../../UploadEvent.js"
import type * as InFlight from "../limits/inFlight.js"

/** What a run is doing. */
export type State = (typeof RunChanged.Type)["state"]

/** The most results that may wait to be reported before no further files are taken: a slow reader slows the run. */
const maxReports = 64

/** The number of uploads that may wait in a backoff before no further files are taken, if the limit is lower. */
const minBackoffs = 64

export class Gate {
  private readonly inFlight: InFlight.InFlight
  private readonly latch = Effect.unsafeMakeLatch(true)
  private current: State
  private open = true
  private backoffs = 0
  private reports = 0

  constructor(inFlight: InFlight.InFlight, state: State) {
    this.inFlight = inFlight
    this.current = state
    this.move()
  }

  get state(): State {
    return this.current
  }

  set state(state: State) {
    this.current = state
    this.move()
  }

  /** Whether the run takes no further files for good. */
  get stopping(): boolean {
    return this.current === "Draining" || this.current === "Interrupting"
  }

  get isOpen(): boolean {
    return this.open
  }

  /** Waits until the gate is open. */
  readonly await: Effect.Effect<void> = this.latch.await

  backoffStarted(): void {
    this.backoffs += 1
    this.move()
  }

  backoffEnded(): void {
    this.backoffs -= 1
    this.move()
  }

  reportStarted(): void {
    this.reports += 1
    if (this.reports >= maxReports) this.move()
  }

  reportEnded(): void {
    this.reports -= 1
    if (!this.open) this.move()
  }

  /** Opens or shuts the gate, after a count or a limit has changed. */
  move(): void {
    const open = this.stopping ||
      (this.current !== "Paused" && this.reports < maxReports &&
        this.backoffs < Math.max(minBackoffs, this.inFlight.limit))
    if (open === this.open) return
    this.open = open
    if (open) this.latch.unsafeOpen()
    else this.latch.unsafeClose()
  }
}
