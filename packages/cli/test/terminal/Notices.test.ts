import { assert, describe, it } from "@effect/vitest"
import type { UploadEvent } from "@sluice/core"
import { Notices, shown } from "../../src/terminal/Notices.js"
import * as Style from "../../src/terminal/Style.js"

const error = { _tag: "Transient", reason: "Connection", message: "It broke." }

const retrying = (key: string): UploadEvent.UploadEvent => ({
  _tag: "UploadRetrying",
  version: 1,
  at: 0,
  key,
  attempt: 1,
  attempts: 5,
  delayMillis: 56,
  error
})

const finished = (key: string, outcome: "Uploaded" | "Failed"): UploadEvent.UploadEvent => ({
  _tag: "UploadFinished",
  version: 1,
  at: 0,
  key,
  outcome,
  attempts: 5,
  bytes: 0,
  durationMillis: 0,
  ...(outcome === "Failed" && { error })
})

describe("Notices", () => {
  it("has a line for a retry and for a failure", () => {
    const notices = new Notices(Style.plain)
    assert.strictEqual(notices.lineOf(retrying("a\n")), "Retrying a␊ in 56 ms, attempt 2 of 5: It broke.")
    assert.strictEqual(notices.lineOf(finished("a", "Failed")), "Failed a: It broke. (5 attempts)")
    assert.isUndefined(notices.lineOf(finished("a", "Uploaded")))
  })

  it("counts only, after some of a kind", () => {
    const notices = new Notices(Style.plain)
    const retries = Array.from({ length: 100 }, (_, i) => notices.lineOf(retrying(`${i}`))).filter(Boolean)
    assert.strictEqual(retries.length, shown + 1)
    assert.strictEqual(retries.at(-1), "Further retries are only counted.")
    const failures = Array.from({ length: 100 }, (_, i) => notices.lineOf(finished(`${i}`, "Failed"))).filter(Boolean)
    assert.strictEqual(failures.length, shown + 1)
    assert.strictEqual(failures.at(-1), "Further failures are only counted.")
  })

  it("reports that the destination is away, and what follows", () => {
    const notices = new Notices(Style.plain)
    const about = { _tag: "OutageChanged", version: 1, at: 12_000, since: 0 } as const
    assert.deepStrictEqual(
      [
        notices.lineOf({ ...about, state: "Away", error }),
        notices.lineOf({ ...about, state: "Back" }),
        notices.lineOf({ ...about, state: "GivenUp" })
      ],
      [
        "The destination is away: It broke. Waiting for it to come back.",
        "The destination is back after 12 s: continuing.",
        "The destination has been away for 12 s: no longer waiting for it. See --outage."
      ]
    )
  })

  it("reports what continues and what starts over", () => {
    const notices = new Notices(Style.plain)
    const about = { version: 1, at: 0, key: "a\u001b.mov" } as const
    const lines = [
      notices.lineOf({ _tag: "UploadResumed", ...about, size: 9_000_000, bytes: 5_000_000, parts: 5 }),
      notices.lineOf({ _tag: "UploadResumed", ...about, bytes: 0, parts: 0 }),
      notices.lineOf({ _tag: "UploadRestarted", ...about, reason: "SourceChanged" }),
      notices.lineOf({ _tag: "UploadRestarted", ...about, reason: "SessionGone" }),
      notices.lineOf({ ...retrying("a"), part: 3 } as UploadEvent.UploadEvent)
    ]
    assert.deepStrictEqual(lines, [
      "Continuing a␛.mov: 5.0 MB are stored already.",
      undefined,
      "Starting a␛.mov over: it has changed since the last run.",
      "Starting a␛.mov over: the destination no longer has what the last run sent.",
      "Retrying a, part 3, in 56 ms, attempt 2 of 5: It broke."
    ])
  })
})
