/**
 * The large files of a run: those that are on their way, and those that wait for them.
 *
 * Only so many are on their way at once as it takes to use all permits, and one more; those that the list has beyond that
 * are set aside while small ones go on, and a worker that ends a large file goes on with the next of them. So neither
 * kind waits for the other.
 */
import * as Effect from "effect/Effect"
import * as MultipartUpload from "../../MultipartUpload.js"
import type * as Upload from "../../Upload.js"

/** How many large files may be set aside before the list has to wait. */
const maxSetAside = 1_000

export class LargeFiles {
  private readonly context: Upload.Context
  private readonly seated = new Set<Upload.Upload>()
  private readonly aside: Array<Upload.Upload> = []
  private readonly latch = Effect.unsafeMakeLatch(true)

  constructor(context: Upload.Context) {
    this.context = context
  }

  get onTheirWay(): number {
    return this.seated.size
  }

  get waiting(): number {
    return this.aside.length
  }

  /** Whether those on their way, but for the last one, cannot use all permits: many files have few parts. */
  private get hasRoom(): boolean {
    const { limit } = this.context.limits.inFlight
    if (limit === Infinity) return true
    const atOnce = Math.min(limit, MultipartUpload.partsAtOnce(this.context))
    let wanted = 0
    for (const { size } of this.seated) {
      wanted += size === undefined ? atOnce : Math.min(atOnce, Math.ceil(size / this.context.parts.partSize))
    }
    return wanted < limit + atOnce
  }

  /** Lets a file be on its way, if it is a small one or there is room. */
  seat(upload: Upload.Upload): boolean {
    if (!upload.large || this.seated.has(upload)) return true
    if (!this.hasRoom) {
      this.latch.unsafeClose()
      return false
    }
    this.seated.add(upload)
    return true
  }

  unseat(upload: Upload.Upload): void {
    if (this.seated.delete(upload)) this.latch.unsafeOpen()
  }

  /** Waits until there may be room. */
  readonly room: Effect.Effect<void> = this.latch.await

  limitChanged(): void {
    this.latch.unsafeOpen()
  }

  /** Puts a file aside, if there are not too many. */
  setAside(upload: Upload.Upload): boolean {
    if (this.aside.length >= maxSetAside) return false
    this.aside.push(upload)
    return true
  }

  get canResume(): boolean {
    return this.aside.length > 0 && this.hasRoom
  }

  /** The next of the files that were set aside, if there is room for it. */
  unsafeResume(): Upload.Upload | undefined {
    return this.canResume ? this.aside.shift() : undefined
  }

  /** All that are still aside. */
  takeAll(): ReadonlyArray<Upload.Upload> {
    return this.aside.splice(0)
  }
}
