import { assert, describe, it } from "@effect/vitest"
import type { Progress, UploadRun } from "@sluice/core"
import * as ProgressView from "../../src/terminal/ProgressView.js"
import * as Style from "../../src/terminal/Style.js"
import * as TerminalText from "../../src/terminal/TerminalText.js"

const progress: Progress.Progress = {
  startedAt: 0,
  listing: false,
  filesFound: 500,
  filesUploaded: 208,
  filesSkipped: 0,
  filesFailed: 0,
  filesInterrupted: 0,
  filesOfUnknownSize: 0,
  inFlight: 3,
  peakInFlight: 8,
  bytesFound: 200_000_000,
  bytesUploaded: 80_000_000,
  bytesInFlight: 8_000_000,
  bytesResumed: 0,
  attempts: 211,
  retries: 0
}

const transfer = (key: string, size: number | undefined, sent: number, attempt = 1): UploadRun.Transfer => ({
  key,
  size,
  sent,
  attempt,
  startedAt: 0
})

const moment: ProgressView.Moment = {
  progress,
  throughput: { current: 16_000_000, overall: 15_000_000 },
  transfers: [
    transfer("small.txt", 900, 450),
    transfer("photos/2024 summer/raw/写真-12.jpg", 32_000_000, 8_000_000),
    transfer("stream", undefined, 1_234),
    transfer("empty", 0, 0, 2)
  ],
  stopping: false,
  now: 5_000
}

const view = (changes: Partial<ProgressView.Moment> = {}, screen: Partial<ProgressView.Screen> = {}) =>
  ProgressView.lines({ ...moment, ...changes }, { columns: 100, rows: 24, style: Style.plain, ...screen })

describe("ProgressView", () => {
  it("shows a bar, numbers and the largest uploads in flight", () => {
    assert.deepStrictEqual(view(), [
      " 44% ━━━━━━━━━━━━━━━━━━━━━━━━━━──────────────────────────────────  7.0 s left",
      "208 of 500 files · 88.0 MB of 200.0 MB · 16.0 MB/s · 3 in flight",
      "   25%  of 32.0 MB  photos/2024 summer/raw/写真-12.jpg",
      "            1.2 kB  stream",
      "   50%    of 900 B  small.txt",
      "               0 B  empty (attempt 2)"
    ])
  })

  it("says that the destination is away, and for how long", () => {
    const away = { progress: { ...progress, awaySince: 2_000 } }
    assert.match(view(away)[1]!, /^destination away for 3\.0 s · 208 of 500 files/)
    assert.match(ProgressView.plainLine({ ...moment, ...away }), /^44% · destination away for 3\.0 s · /)
  })

  it("shows that it is still listing, and what went wrong", () => {
    assert.deepStrictEqual(
      view({
        progress: { ...progress, listing: true, filesFailed: 11, retries: 1, filesSkipped: 2 },
        transfers: []
      }, { columns: 110 }),
      [
        "     ────────────────────────────────────────────────────────────  still listing",
        "221 of 500+ files · 88.0 MB of 200.0 MB+ · 16.0 MB/s · 11 failed · 3 in flight · 1 retry · 2 skipped"
      ]
    )
  })

  it("shows no percent and no time left that it cannot know", () => {
    const unknown = { progress: { ...progress, filesOfUnknownSize: 1 }, transfers: [] }
    assert.deepStrictEqual(view(unknown), [
      "     ────────────────────────────────────────────────────────────",
      "208 of 500 files · 88.0 MB of 200.0 MB · 16.0 MB/s · 3 in flight"
    ])
    assert.strictEqual(
      ProgressView.plainLine({ ...moment, ...unknown }),
      "208 of 500 files · 88.0 MB of 200.0 MB · 16.0 MB/s · 3 in flight"
    )
    const listing = { progress: { ...progress, listing: true }, transfers: [] }
    assert.strictEqual(view(listing, { columns: 20, rows: 4 })[0], "still listing")
  })

  it("leaves out of the time left what an earlier run has stored", () => {
    const resumed = { progress: { ...progress, bytesResumed: 80_000_000 }, transfers: [] }
    assert.match(view(resumed)[0]!, /^ 84% ━.*─ {2}2\.0 s left$/)
  })

  it("shows the adaptive limit and its reason", () => {
    const limit = { concurrency: 24, reason: "probing up" }
    assert.deepStrictEqual(view({ limit, transfers: [] }).slice(1), [
      "208 of 500 files · 88.0 MB of 200.0 MB · 16.0 MB/s · 3 in flight",
      "limit 24, probing up"
    ])
    assert.strictEqual(view({ limit }, { rows: 3 }).length, 2)
    assert.strictEqual(view({ limit }, { rows: 5 }).length, 4)
    assert.include(ProgressView.plainLine({ ...moment, limit }), " · 3 in flight · limit 24, probing up · ")
    assert.notInclude(view({ limit, stopping: true }).join(), "limit")
  })

  it("says that it is stopping", () => {
    assert.deepStrictEqual(view({ stopping: true, transfers: [] }), [
      " 44% ━━━━━━━━━━━━━━━━━━━━━━━━━━──────────────────────────────────",
      "208 of 500 files · 88.0 MB of 200.0 MB · 16.0 MB/s · finishing 3"
    ])
  })

  it("gives no time left that it cannot know", () => {
    assert.notInclude(view({ throughput: { current: 0, overall: 1 } })[0], "left")
    assert.notInclude(view({ now: 500 })[0], "left")
  })

  it("fits narrow terminals", () => {
    assert.deepStrictEqual(view({}, { columns: 40 }), [
      " 44% ━━━━━━━━━─────────────  7.0 s left",
      "208 of 500 files · 88.0 MB of 200.0 MB",
      "   25%  of 32.0 MB  …er/raw/写真-12.jpg",
      "            1.2 kB  stream",
      "   50%    of 900 B  small.txt",
      "               0 B  empty (attempt 2)"
    ])
    assert.deepStrictEqual(view({}, { columns: 20, rows: 4 }), [
      " 44%  7.0 s left",
      "208 of 500 files",
      "…er/raw/写真-12.jpg"
    ])
  })

  it("is never wider than the terminal, nor higher", () => {
    for (let columns = 2; columns < 130; columns++) {
      for (const rows of [1, 3, 5, 24]) {
        const limit = { concurrency: 1_024, reason: "probing up" }
        const lines = view({ limit, stopping: columns % 2 === 0 }, { columns, rows })
        assert.isBelow(Math.max(...lines.map(TerminalText.width)), columns)
        assert.isAtMost(lines.length, Math.max(2, rows - 1))
      }
    }
  })

  it("shows no more than five, the largest of very many", () => {
    const transfers = Array.from({ length: 1_000 }, (_, i) => transfer(`file ${i}`, (i * 7_919) % 1_000, 0))
    assert.deepStrictEqual(
      view({ transfers }).slice(2).map((line) => line.slice(0, 18)),
      ["    0%    of 999 B", "    0%    of 998 B", "    0%    of 997 B", "    0%    of 996 B", "    0%    of 995 B"]
    )
  })

  it("makes names harmless", () => {
    const [, , line] = view({ transfers: [transfer("evil\u001b[2J\n.jpg", 10, 5)] })
    assert.strictEqual(line, "   50%     of 10 B  evil␛[2J␊.jpg")
  })

  it("paints with escape sequences only if it may", () => {
    const painted = view({ progress: { ...progress, filesFailed: 1, retries: 2 } }, { style: Style.ansi })
    assert.include(painted[1], "\u001b[31m1 failed\u001b[39m")
    assert.include(painted[1], "\u001b[33m2 retries\u001b[39m")
    assert.notInclude(view({ progress: { ...progress, filesFailed: 1, retries: 2 } }).join("\n"), "\u001b")
  })

  it("is one plain line for logs", () => {
    assert.strictEqual(
      ProgressView.plainLine({ ...moment, progress: { ...progress, retries: 2, filesFailed: 1 } }),
      "44% · 209 of 500 files · 88.0 MB of 200.0 MB · 16.0 MB/s · 1 failed · 3 in flight · 2 retries · 7.0 s left"
    )
    assert.strictEqual(
      ProgressView.plainLine({ ...moment, progress: { ...progress, listing: true } }),
      "208 of 500+ files · 88.0 MB of 200.0 MB+ · 16.0 MB/s · 3 in flight · still listing"
    )
  })
})
