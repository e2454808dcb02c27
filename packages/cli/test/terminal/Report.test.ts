import { assert, describe, it } from "@effect/vitest"
import { UploadError, UploadResult } from "@sluice/core"
import type { UploadReport } from "@sluice/core"
import { Duration } from "effect"
import * as Kept from "../../src/terminal/Kept.js"
import * as Report from "../../src/terminal/Report.js"
import * as Style from "../../src/terminal/Style.js"

const report = (
  files: Partial<UploadReport.UploadReport["files"]>,
  more: Partial<UploadReport.UploadReport> = {}
): UploadReport.UploadReport => ({
  _tag: "Report",
  version: 1,
  ended: "Completed",
  files: { total: 0, uploaded: 0, skipped: 0, failed: 0, interrupted: 0, notStarted: 0, ...files },
  bytes: { total: 200_000_000, uploaded: 198_200_000, resumed: 0 },
  attempts: 500,
  retries: 3,
  peakInFlight: 8,
  durationMillis: 12_300,
  throughputBytesPerSecond: 16_113_821,
  failures: [],
  abortsFailed: 0,
  leftBehind: [],
  ...more
})

const failure = (key: string, message: string, attempts = 1): UploadReport.Failure => ({
  key,
  attempts,
  error: { _tag: "Transient", reason: "Connection", message }
})

const failed = (error: UploadError.UploadError): UploadResult.Failed => ({
  _tag: "Failed",
  file: { key: "a", size: 1 },
  attempts: 1,
  error,
  duration: Duration.zero
})

const tallyOf = (...results: ReadonlyArray<UploadResult.UploadResult>): Report.Tally => {
  const tally = new Report.Tally()
  for (const result of results) tally.add(result)
  return tally
}

const summary = (
  of: UploadReport.UploadReport,
  context: Partial<Report.Context> = {},
  findings: Report.Findings = tallyOf()
) =>
  Report.summary(of, findings, {
    style: Style.plain,
    notStarted: of.files.notStarted,
    listed: true,
    manifest: undefined,
    begun: 0,
    ...context
  })

const unavailable = new UploadError.Transient({ reason: "Unavailable", detail: "down" })

describe("Report", () => {
  it("is one line if everything succeeded", () => {
    assert.deepStrictEqual(summary(report({ total: 500, uploaded: 500 })), [
      "Uploaded 500 files, 198.2 MB in 12 s, 16.1 MB/s, 3 retries."
    ])
    assert.deepStrictEqual(summary(report({ total: 1, uploaded: 1 }, { retries: 1, durationMillis: 340 })), [
      "Uploaded 1 file, 198.2 MB in 340 ms, 16.1 MB/s, 1 retry."
    ])
    assert.deepStrictEqual(summary(report({})), ["Nothing to upload: no files were found."])
  })

  it("reports what was stored before, what is kept, and what could not be removed", () => {
    const stopped = report({ total: 3, uploaded: 1, interrupted: 2 }, {
      ended: "Interrupted",
      bytes: { total: 10, uploaded: 10, resumed: 5_000_000 },
      abortsFailed: 1,
      leftBehind: [{ key: "c\u001b.mov", error: { _tag: "Transient", message: "It broke." } }]
    })
    const lines = summary({ ...stopped, kept: { files: 1, bytes: 5_000_000 } })
    assert.include(lines, "An earlier run had stored 5.0 MB of it, which was not sent again.")
    assert.include(lines, "Could not remove what is stored of 1 unfinished file:")
    assert.include(lines, "  c␛.mov: It broke.")
    assert.include(lines.join("\n"), "Kept the stored part of 1 large file, 5.0 MB: the same command continues it.")
    assert.include(
      summary({ ...stopped, kept: { files: 2, bytes: 3 } }).join("\n"),
      "of 2 large files, 3 B: the same command continues them."
    )
    assert.deepStrictEqual(summary(report({ total: 1, interrupted: 1 }), { begun: 1 }).slice(2, 4), [
      "1 large file was begun, but no part is stored yet.",
      "  sluice uploads ls lists what was begun, sluice uploads abort removes it."
    ])
    assert.deepStrictEqual(summary(report({ total: 1, uploaded: 1 }, { kept: { files: 1, bytes: 7 } })).slice(1), [
      "The stored part of 1 large file from an earlier run, 7 B, was kept: this run did not get to it.",
      "  sluice uploads ls lists what was begun, sluice uploads abort removes it."
    ])
  })

  it("says what takes space on a full disk, and how to free it", () => {
    const full = {
      failures: [{
        key: "a",
        attempts: 1,
        error: { _tag: "Rejected", reason: "NoSpace", message: "No space is left." }
      }]
    }
    const failed = { total: 1, failed: 1 }
    const told = (context: Partial<Report.Context>, more: Partial<UploadReport.UploadReport> = {}) =>
      summary(report(failed, { ...full, ...more }), context).slice(3, -1)
    const abortCommand = Kept.abortCommand("/mnt/my disk", undefined)
    assert.strictEqual(abortCommand, "sluice uploads abort '/mnt/my disk'")
    assert.strictEqual(Kept.abortCommand("https://host/a?…", "j"), "sluice uploads abort --journal j")
    const takesSpace = (them: string) =>
      `What is stored of ${them} takes space at the destination. Free some space and run the same command again, or remove ` +
      "what is stored: sluice uploads abort '/mnt/my disk'"
    assert.deepStrictEqual(told({ begun: 1, abortCommand }), [
      "1 large file was begun, but no part is stored yet.",
      takesSpace("it")
    ])
    const kept = { files: 1, bytes: 8_000_000 }
    assert.deepStrictEqual(told({ begun: 1, abortCommand }, { kept }), [
      "Kept the stored part of 1 large file, 8.0 MB: the same command continues it.",
      "1 large file was begun, but no part is stored yet.",
      takesSpace("them")
    ])
    assert.deepStrictEqual(told({}), [
      "Free some space at the destination, or have its quota raised, and run the same command again."
    ])
    const findings = { ...tallyOf(), destinationFailures: 1 }
    const rest = { notStarted: 0, listed: true }
    assert.strictEqual(Report.failureOf(report(failed, full), findings, rest)?.exitCode, 4)
    assert.strictEqual(Report.failureOf(report(failed, { ...full, kept }), findings, rest)?.exitCode, 1)
  })

  it("names failed files with their causes, and harmlessly", () => {
    assert.deepStrictEqual(
      summary(report({ total: 500, uploaded: 498, failed: 2 }, {
        failures: [failure("a\u001b[1m.jpg", "The connection broke.", 5), failure("b.jpg", "Forbidden\n.")]
      })),
      [
        "Uploaded 498 of 500 files, 198.2 MB in 12 s, 16.1 MB/s, 3 retries.",
        "Failed 2 files:",
        "  a␛[1m.jpg: The connection broke. (5 attempts)",
        "  b.jpg: Forbidden␊.",
        "--failed FILE lists unfinished files for another run with --files-from FILE."
      ]
    )
  })

  it("names the first twenty, and a cause that they share once", () => {
    const failures = Array.from({ length: 100 }, (_, i) => failure(`${i}.jpg`, "No space is left.", 2))
    const lines = summary(report({ total: 5_000, failed: 5_000 }, { failures }), { manifest: "failed.ndjson" })
    assert.strictEqual(lines[1], "Failed 5,000 files: No space is left.")
    assert.deepStrictEqual(lines.slice(2, -1), [
      ...Array.from({ length: 20 }, (_, i) => `  ${i}.jpg`),
      "  and 4,980 more."
    ])
    assert.strictEqual(
      lines.at(-1),
      "Unfinished files are listed in failed.ndjson: upload them with --files-from failed.ndjson."
    )
  })

  it("says what remains after an early end", () => {
    const stopped = report({ total: 500, uploaded: 100, interrupted: 8, notStarted: 392 }, { ended: "Interrupted" })
    assert.deepStrictEqual(summary(stopped, { manifest: "f", notStarted: 400 }).slice(1), [
      "Interrupted 8 files in flight, and stored none of them.",
      "Not started: 400 files.",
      "Unfinished files are listed in f: upload them with --files-from f."
    ])
    assert.deepStrictEqual(summary(stopped, { manifest: "f", listed: false }).slice(2), [
      "Not started: 392 files.",
      "The list was not read to its end: more files may not have been started.",
      "Some of the unfinished files are listed in f: upload them with --files-from f."
    ])
  })

  it("says why files were skipped, for a few reasons", () => {
    const skipped = Array.from({ length: 9 }, (_, i) => UploadResult.skipped(`${i}`, `Reason ${i % 7}.`))
    assert.deepStrictEqual(summary(report({ total: 10, uploaded: 1, skipped: 9 }), {}, tallyOf(...skipped)).slice(1), [
      "Skipped 9 files:",
      "  2: Reason 0.",
      "  2: Reason 1.",
      "  1: Reason 2.",
      "  1: Reason 3.",
      "  1: Reason 4.",
      "  2: Other reasons."
    ])
  })

  it("decides how the command ends", () => {
    const codeOf = (of: UploadReport.UploadReport, findings: Report.Findings = tallyOf(), notStarted = 0) =>
      Report.failureOf(of, findings, { notStarted, listed: true })?.exitCode ?? 0
    assert.strictEqual(codeOf(report({ total: 2, uploaded: 1, skipped: 1 })), 0)
    assert.strictEqual(codeOf(report({})), 0)
    assert.strictEqual(codeOf(report({ total: 2, uploaded: 1, failed: 1 }), tallyOf(failed(unavailable))), 1)
    assert.strictEqual(codeOf(report({ total: 1, failed: 1 }), tallyOf(failed(unavailable))), 4)
    for (const ended of ["Drained", "Interrupted"] as const) {
      assert.strictEqual(codeOf(report({ total: 2, uploaded: 1 }, { ended }), tallyOf(), 1), 130)
      assert.strictEqual(codeOf(report({ total: 2, uploaded: 1, interrupted: 1 }, { ended })), 130)
    }
    // All was begun when it was asked to stop, and has been finished.
    assert.strictEqual(codeOf(report({ total: 1, uploaded: 1 }, { ended: "Drained" })), 0)
    const unread = { notStarted: 0, listed: false }
    assert.strictEqual(
      Report.failureOf(report({ total: 1, uploaded: 1 }, { ended: "Drained" }), tallyOf(), unread)?.exitCode,
      130
    )
  })

  it("distinguishes a destination that cannot be used from files that cannot be uploaded", () => {
    const detail = "no"
    const codeOf = (error: UploadError.UploadError) =>
      Report.failureOf(report({ total: 1, failed: 1 }), tallyOf(failed(error)), {
        notStarted: 0,
        listed: true
      })?.exitCode
    const rejected = (reason: UploadError.Rejected["reason"]) => codeOf(new UploadError.Rejected({ reason, detail }))
    assert.deepStrictEqual(
      (["Unauthorized", "Forbidden", "NotFound", "NoSpace", "Redirected", "Unsupported"] as const).map(rejected),
      [4, 4, 4, 4, 4, 4]
    )
    assert.deepStrictEqual((["InvalidKey", "TooLarge"] as const).map(rejected), [1, 1])
    assert.deepStrictEqual(
      [
        new UploadError.Throttled({ detail }),
        new UploadError.AuthExpired({ detail }),
        new UploadError.Conflict({ detail }),
        new UploadError.Conflict({ detail: "http://h/x answered 412: Tus-Resumable Required" }),
        new UploadError.IntegrityMismatch({ reason: "Size", detail }),
        new UploadError.SourceChanged({ reason: "Grew", detail }),
        new UploadError.SourceUnreadable({ reason: "Forbidden", detail })
      ].map(codeOf),
      [4, 4, 1, 4, 1, 1, 1]
    )
  })
})
