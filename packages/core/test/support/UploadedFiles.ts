/**
 * Lists of small files, and how many are in flight.
 */
import { UploadFile } from "@sluice/core"
import { Effect, Random } from "effect"
import type * as Recording from "./Recording.js"

export const files = (count: number, prefix = "f"): Array<UploadFile.UploadFile> =>
  Array.from({ length: count }, (_, i) => UploadFile.fromText(`${prefix}${i}`, `${i}`))

/** Takes all bytes after a random while of 1 to 100 ms. */
export const randomly = ({ body }: Recording.Put) =>
  Effect.zipRight(Effect.flatMap(Random.nextIntBetween(1, 101), (millis) => Effect.sleep(millis)), body.bytes)

/** How many were in flight after each entry of a history. */
export const inFlight = (history: ReadonlyArray<Recording.Entry>): Array<number> => {
  let count = 0
  return history.map(([, event]) => count += event.startsWith("put") ? 1 : -1)
}
