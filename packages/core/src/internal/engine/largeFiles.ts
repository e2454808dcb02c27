/**
 * The large files of a run: those in progress, and those that wait.
 *
 * Only as many are in progress at once as it takes to use all permits, plus one. Any others from the list are set aside
 * while small files continue, and a worker that finishes a large file continues with the next of them. So neither kind
 * waits for the other.
 */
import * as Effect from "effect/Effect"
import type { Env } from "../upload/env.js"
import * as Parts from "../upload/parts.js"
import type { Upload } from "../upload/upload.js"

/** The most large files that may be set aside before the list has to wait. */
const maxSetAside = 1_000

export class LargeFiles {
  private readonly env: Env
  private readonly seated = new Set<Upload>()
  private readonly aside: Array<Upload> = []
  private readonly latch = Effect.unsafeMakeLatch(true)

  constructor(env: Env) {
    this.env = env
  }

  get onTheirWay(): number {
    return this.seated.size
  }

  /** Whether those in progress, except the last, cannot use all permits: many files have few parts. */
  private get hasRoom(): boolean {
    const { limit } = this.env.limits.inFlight
    if (limit === Infinity) return true
    const atOnce = Math.min(limit, Parts.atOnce(this.env))
    let wanted = 0
    for (const { size } of this.seated) {
      wanted += size === undefined ? atOnce : Math.min(atOnce, Math.ceil(size / this.env.parts.partSize))
    }
    return wanted < limit + atOnce
  }

  /** Admits a file if it is small or there is room. */
  seat(upload: Upload): boolean {
    if (!upload.large || this.seated.has(upload)) return true
    if (!this.hasRoom) {
      this.latch.unsafeClose()
      return false
    }
    this.seated.add(upload)
    return true
  }

  unseat(upload: Upload): void {
    if (this.seated.delete(upload)) this.latch.unsafeOpen()
  }

  /** Waits until there may be room. */
  readonly room: Effect.Effect<void> = this.latch.await

  limitChanged(): void {
    this.latch.unsafeOpen()
  }

  /** Sets a file aside if there are not too many. */
  setAside(upload: Upload): boolean {
    if (this.aside.length >= maxSetAside) return false
    this.aside.push(upload)
    return true
  }

  get canResume(): boolean {
    return this.aside.length > 0 && this.hasRoom
  }

  /** The next of the files set aside, if there is room for it. */
  unsafeResume(): Upload | undefined {
    return this.canResume ? this.aside.shift() : undefined
  }

  /** All files still set aside. */
  takeAll(): ReadonlyArray<Upload> {
    return this.aside.splice(0)
  }
}
