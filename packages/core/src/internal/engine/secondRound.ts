/**
 * The files that failed in the first round of a run, each of which gets another round of attempts.
 */
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type { UploadError } from "../../UploadError.js"
import type { Restore } from "../calls/ended.js"
import * as Attempts from "../upload/attempts.js"
import type { Upload } from "../upload/upload.js"
import * as FileList from "./fileList.js"
import type { Recorder } from "./recorder.js"
import * as Results from "./results.js"

export interface Failed {
  readonly upload: Upload
  readonly error: UploadError
}

export class SecondRound implements FileList.List<Upload> {
  private readonly failed: Array<Failed> = []
  private readonly most: number

  constructor(most: number) {
    this.most = most
  }

  /** Keeps a file for the second round, unless there are too many. */
  offer(failed: Failed): boolean {
    if (this.failed.length >= this.most) return false
    this.failed.push(failed)
    return true
  }

  /** Puts back a file that was taken for the second round and not begun. */
  putBack(failed: Failed): void {
    this.failed.push(failed)
  }

  /** Reports the files that are left. An interruption, also one before this, makes it brief, and ends nothing else. */
  report(recorder: Recorder, restore: Restore): Effect.Effect<void> {
    return Effect.withFiberRuntime((fiber) => {
      if (recorder.hasty) fiber.unsafeInterruptAsFork(FiberId.none)
      return Effect.forEach(
        this.failed,
        ({ error, upload }) =>
          recorder.record({ _tag: "Finished", result: Results.failed(upload, error) }, restore) ?? Effect.void,
        { discard: true }
      )
    })
  }

  unsafePull(): Upload | typeof FileList.end {
    const failed = this.failed.shift()
    return failed === undefined ? FileList.end : Attempts.nextRound(failed.upload, failed.error)
  }

  mayHaveMore(): boolean {
    return this.failed.length > 0
  }

  readonly pull = Effect.sync(() => this.unsafePull())
  readonly close = Effect.void
}
