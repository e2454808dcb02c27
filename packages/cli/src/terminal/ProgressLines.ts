/**
 * Progress for programs: a `ProgressSampled` among the events of `--json`, each second from the first on. What comes
 * sooner to its end has its report alone.
 */
import * as UploadEvent from "@sluice/core/UploadEvent"
import type { UploadRun } from "@sluice/core/UploadRun"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Json from "./Json.js"
import { writeLines } from "./Output.js"
import type { Sink } from "./Output.js"

/** Prints how a run goes, until it is interrupted. */
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
