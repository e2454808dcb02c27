/**
 * One worker of a run: what it holds now.
 */
import type * as Fiber from "effect/Fiber"
import type { UploadResult } from "../../UploadResult.js"
import type { Upload } from "../upload/upload.js"

export class Worker {
  readonly fiber: Fiber.RuntimeFiber<void>
  /** Whether it waits at the turnstile. */
  isWaiting = false
  /** Whether it is in the turnstile. */
  isInside = false
  /** The current upload, or the file pulled for the next one. */
  upload: Upload | undefined = undefined
  /** A result that came from the list and has not been reported yet. */
  decided: UploadResult | undefined = undefined

  constructor(fiber: Fiber.RuntimeFiber<void>) {
    this.fiber = fiber
  }
}
