import { assert, describe, it } from "@effect/vitest"
import * as Format from "../../src/terminal/Format.js"

describe("Format", () => {
  it("writes bytes in decimal units", () => {
    assert.deepStrictEqual(
      [0, 1, 999, 1_000, 1_500, 999_949, 999_950, 1e6, 12_345_678, 1e9, 2.5e12, 9e18].map(Format.bytes),
      [
        "0 B",
        "1 B",
        "999 B",
        "1.0 kB",
        "1.5 kB",
        "999.9 kB",
        "1.0 MB",
        "1.0 MB",
        "12.3 MB",
        "1.0 GB",
        "2.5 TB",
        "9000.0 PB"
      ]
    )
  })

  it("writes times in two units at most", () => {
    assert.deepStrictEqual(
      [
        0,
        0.4,
        56,
        999,
        999.7,
        1_449,
        9_940,
        9_960,
        59_400,
        59_600,
        125_000,
        3_599_000,
        3_600_000,
        7_620_000,
        90_000_000
      ]
        .map(Format.duration),
      [
        "0 ms",
        "0 ms",
        "56 ms",
        "999 ms",
        "1.0 s",
        "1.4 s",
        "9.9 s",
        "10 s",
        "59 s",
        "1 min 00 s",
        "2 min 05 s",
        "59 min 59 s",
        "1 h 00 min",
        "2 h 07 min",
        "1 d 01 h"
      ]
    )
  })

  it("says 100% only of the whole", () => {
    assert.deepStrictEqual([0, 0.009, 0.42, 0.999, 1].map(Format.percent), ["0%", "0%", "42%", "99%", "100%"])
  })

  it("counts things", () => {
    assert.deepStrictEqual(
      [0, 1, 2, 12_345].map((count) => Format.counted(count, "file")),
      ["0 files", "1 file", "2 files", "12,345 files"]
    )
  })
})
