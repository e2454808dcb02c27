/**
 * The end of an upload: its result is recorded, and a source that was never read is released.
 */
import type * as Effect from "effect/Effect"
import type { UploadResult } from "../../UploadResult.js"
import { interruptedMillis } from "../calls/ended.js"
import type { Restore } from "../calls/ended.js"
import * as Attempts from "../upload/attempts.js"
import type { Outcome, Upload } from "../upload/upload.js"
import { inTurn } from "./inTurn.js"
import * as Results from "./results.js"

/**
 * Records the result of an outcome, and returns what there is to wait for. The source has `millis` for its release,
 * which can be interrupted through `restore`.
 */
export const settle = (
  upload: Upload,
  outcome: Outcome,
  millis: number,
  restore: Restore
): { readonly result: UploadResult; readonly after: Effect.Effect<void> | undefined } => {
  const { run: { recorder }, size } = upload
  if (outcome._tag === "Skipped" && outcome.uploadedBefore && size !== undefined) {
    recorder.record({ _tag: "FoundUploaded", bytes: size })
  }
  const result = Results.of(upload, outcome)
  const told = recorder.record({ _tag: "Finished", result }, restore)
  const after = inTurn(told, released(upload, outcome, millis, restore))
  return { result, after: outcome._tag === "Stored" ? inTurn(after, outcome.defect) : after }
}

const released = (
  upload: Upload,
  outcome: Outcome,
  millis: number,
  restore: Restore
): Effect.Effect<void> | undefined => {
  // The fiber of an interrupted upload cannot wait interruptibly any more.
  if (outcome._tag === "Interrupted") return Attempts.letGo(upload, interruptedMillis)
  const letGo = Attempts.letGo(upload, millis)
  return letGo === undefined ? undefined : restore(letGo)
}
