import { assert, describe, it } from "@effect/vitest"
import { crc32 } from "node:zlib"
import * as Record from "../../../src/internal/journal/recordNode.js"

/** A line with a valid checksum and any content. */
const line = (covered: string): string => `${crc32(covered).toString(16).padStart(8, "0")} ${covered}\n`

const whole = (payload: string): string => line(`${payload.length} ${payload}`)

const scan = (...pieces: ReadonlyArray<string>) => {
  const found: Array<Record.Frame & { readonly damaged: boolean }> = []
  const scanner = new Record.Scanner((frame, damaged) => found.push({ ...frame, damaged }))
  for (const piece of pieces) scanner.feed(piece)
  scanner.feed("", true)
  return found
}

const cut = (text: string, size: number): Array<string> =>
  Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size))

describe("records of a journal", () => {
  const payloads = ["1E{\"n\":1}", "", "1", "1O{\"owner\":\"0123456789 0123456789\"}", "x".repeat(1234)]
  const text = payloads.map(whole).join("")
  const ends = payloads.map((_, i) => payloads.slice(0, i + 1).map(whole).join("").length)

  it("are found however the text is split, with the offsets of their ends", () => {
    const expected = payloads.map((payload, i) => ({
      payload,
      length: whole(payload).length,
      end: ends[i]!,
      damaged: false
    }))
    for (let size = 1; size <= 40; size++) assert.deepStrictEqual(scan(...cut(text, size)), expected, `${size}`)
    assert.deepStrictEqual(scan(text), expected)
  })

  it("are reported as soon as they are complete", () => {
    let found = 0
    const scanner = new Record.Scanner(() => found += 1)
    const told = cut(text, 1).map((character) => {
      scanner.feed(character)
      return found
    })
    assert.deepStrictEqual(told, Array.from(text, (_, i) => ends.filter((end) => end <= i + 1).length))
  })

  it("have payloads up to the maximum length", () => {
    const longest = "x".repeat(Record.longest)
    for (const size of [65_536, 3 * Record.longest]) {
      assert.deepStrictEqual(
        scan(...cut(whole(longest) + whole("1R"), size)).map(({ damaged, payload }) => [payload.length, damaged]),
        [[Record.longest, false], [2, false]]
      )
      assert.deepStrictEqual(
        scan(...cut(whole(`${longest}x`) + whole("1R"), size)).map(({ damaged, payload }) => [payload, damaged]),
        [["1R", true]]
      )
    }
  })

  it("are skipped when damaged, up to the next line", () => {
    const covered = "9 1E{\"n\":1}"
    const checksum = crc32(covered).toString(16).padStart(8, "0")
    const damaged = [
      `${checksum}x${covered}\n`,
      `${checksum.replace(/./, (digit) => digit === "0" ? "1" : "0")} ${covered}\n`,
      line("9x 1E{\"n\":1}"),
      line("9.5 1E{\"n\":1}"),
      line("8 1E{\"n\":1}"),
      line("00000009 1E{\"n\":1}"),
      "\n",
      "no space in sight\n",
      `${"x".repeat(40)}\n`
    ]
    for (const bad of damaged) {
      const text = whole("1R") + bad + whole("1E{}") + whole("1F")
      for (const size of [1, 3, text.length]) {
        assert.deepStrictEqual(scan(...cut(text, size)).map(({ damaged, end, payload }) => [payload, end, damaged]), [
          ["1R", whole("1R").length, false],
          ["1E{}", text.length - whole("1F").length, true],
          ["1F", text.length, false]
        ], bad)
      }
    }
  })

  it("are dropped when torn at the end of the file", () => {
    const last = whole("1E{\"n\":1}")
    for (let length = 0; length < last.length; length++) {
      for (const size of [1, 100]) {
        const found = scan(...cut(whole("1R") + last.slice(0, length), size))
        assert.deepStrictEqual(found.map(({ payload }) => payload), ["1R"], `${length}`)
      }
    }
  })

  it("are recognized as a torn header from any beginning of one", () => {
    const header = Record.header({ destination: "https://host/bucket", source: "/photos", createdAt: 1 })
    for (let length = 0; length < header.length; length++) {
      assert.isTrue(Record.isTornHeader(header.slice(0, length)), `${length}`)
    }
    for (const text of [header, Record.ended(1).slice(0, -2), "#!/bin/sh", "x", `x${header.slice(0, 20)}`]) {
      assert.isFalse(Record.isTornHeader(text), text)
    }
  })

  it("have lengths that are known in advance", () => {
    const digest = Record.digestOf({ key: "a", size: 1, fingerprint: "f", etag: "e" })
    assert.lengthOf(digest, 24)
    assert.strictEqual(Record.finished(digest).length, Record.finishedLength)
    for (const location of ["", "https://host/a", "caf\u{e9}"]) {
      assert.strictEqual(
        Record.finished(digest, location).length,
        Record.finishedLength + Record.locationLength(location),
        location
      )
    }
  })
})
