import { assert, describe, it } from "@effect/vitest"
import * as KeptUploads from "../../src/journals/KeptUploads.js"
import * as Style from "../../src/terminal/Style.js"

const hour = 3_600_000

const session = (key: string, stored: number, total: number | undefined) => ({
  key,
  token: "secret-token",
  uploadId: "secret-id",
  size: total,
  fingerprint: "1:2:3:4",
  partSize: 8_000_000,
  checksum: undefined,
  startedAt: 10 * hour,
  parts: new Map(
    Array.from({ length: stored }, (_, i) => [i + 1, { number: i + 1, size: 8_000_000, etag: undefined }] as const)
  )
})

const journal = (destination: string, ...sessions: KeptUploads.Found["sessions"]): KeptUploads.Found => ({
  directory: "/state/1",
  usedBy: undefined,
  destination,
  source: "/home/me",
  createdAt: 0,
  sessions,
  owners: [],
  finished: 0
})

const uploads = KeptUploads.of([
  journal("https://host/bucket", session("b.mov", 3, 80_000_000), session("a.mov", 0, 9_000_000)),
  { ...journal("/mnt/backup", session("dump.sql", 2, undefined)), usedBy: 7 }
])

const table = (columns: number, of = uploads) =>
  KeptUploads.table(of, { columns, style: Style.plain, now: 12 * hour + 7 * 60_000 })

describe("KeptUploads", () => {
  it("are a table, by destination and key", () => {
    assert.deepStrictEqual(table(Infinity), [
      "DESTINATION          KEY                   STORED         PARTS  AGE",
      "/mnt/backup          dump.sql             16.0 MB    ?        2  2 h 07 min, in progress",
      "https://host/bucket  a.mov          0 B of 9.0 MB   0%   0 of 2  2 h 07 min",
      "https://host/bucket  b.mov     24.0 MB of 80.0 MB  30%  3 of 10  2 h 07 min"
    ])
  })

  it("fit a terminal: names lose their beginning, and escape nothing", () => {
    const long = KeptUploads.of([
      journal(
        `https://host/${"very-".repeat(20)}long`,
        session(`${"deep/".repeat(20)}写真\u001b[1m.mov`, 3, 80_000_000)
      )
    ])
    for (const columns of [80, 100, 140]) {
      const lines = table(columns, long)
      for (const line of lines) assert.isBelow(line.length, columns)
      assert.match(lines[1] ?? "", /^….*-long {2}….*写真␛\[1m\.mov {2}24\.0 MB of 80\.0 MB/)
    }
  })

  it("are lines of JSON, without upload ids", () => {
    const lines = uploads.map(KeptUploads.json)
    assert.deepStrictEqual(JSON.parse(lines[2] ?? ""), {
      _tag: "UnfinishedUpload",
      version: 1,
      destination: "https://host/bucket",
      source: "/home/me",
      key: "b.mov",
      size: 80_000_000,
      storedBytes: 24_000_000,
      parts: 3,
      partCount: 10,
      startedAt: 10 * hour,
      journal: "/state/1"
    })
    assert.notMatch(lines.join("\n"), /secret/)
  })
})
