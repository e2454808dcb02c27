import { assert, describe, it } from "@effect/vitest"
import { UploadReport } from "@sluice/core"
import { Schema } from "effect"
import { makeReport } from "../../../src/internal/engine/report.js"
import { failures, leftBehind, progress } from "../../support/ReportParts.js"

describe("makeReport", () => {
  it("says what a run did", () => {
    assert.deepStrictEqual(
      makeReport(progress, { ended: "Drained", endedAt: 3_000, failures, abortsFailed: 3, leftBehind }),
      {
        _tag: "Report",
        version: 1,
        ended: "Drained",
        files: { total: 10, uploaded: 4, skipped: 1, failed: 2, interrupted: 1, notStarted: 2 },
        bytes: { total: 500, uploaded: 200, resumed: 50 },
        attempts: 9,
        retries: 2,
        peakInFlight: 3,
        durationMillis: 2_000,
        throughputBytesPerSecond: 100,
        failures,
        abortsFailed: 3,
        leftBehind
      }
    )
  })

  it("says what is kept, if there is a journal", () => {
    const options = { ended: "Drained", endedAt: 3_000, failures, abortsFailed: 3, leftBehind } as const
    const kept = { files: 1, bytes: 5 }
    const report = makeReport(progress, { ...options, kept })
    assert.deepStrictEqual(report, { ...makeReport(progress, options), kept })
    assert.deepStrictEqual(Schema.encodeSync(UploadReport.UploadReport)(report), report)
  })

  it("has no throughput if no time has passed", () => {
    const report = makeReport(progress, {
      ended: "Completed",
      endedAt: 1_000,
      failures: [],
      abortsFailed: 0,
      leftBehind: []
    })
    assert.deepStrictEqual([report.durationMillis, report.throughputBytesPerSecond], [0, 0])
  })
})
