/**
 * Progress for programs: a `ProgressSampled` event in the output of `--json`, every second. A run that ends within the
 * first second prints only its report.
 */
import * as UploadEvent from "@sluice/core/UploadEvent"
import type { UploadRun } from "@sluice/core/UploadRun"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Json from "./Json.js"
import { writeLines } from "./Output.js"
import type { Sink } from "./Output.js"

/** Prints the progress of a run, until it is interrupted. */
export const print = (
  run: Pick<UploadRun<never>, "currentProgress" | "throughput">,
  sink: Pick<Sink, "write">
): Effect.Effect<never> =>
  Effect.gen(function*() {
    const progress = yield* run.currentProgress
    const { current } = yield* run.throughput
    const event = UploadEvent.progressSampled(yield* Clock.currentTimeMillis, progress, current)
    yield* writeLines(sink, [Json.line(event)])
  }).pipe(Effect.delay("1 second"), Effect.forever)
