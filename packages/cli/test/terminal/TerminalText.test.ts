import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as TerminalText from "../../src/terminal/TerminalText.js"

describe("TerminalText", () => {
  it("shows control characters as signs", () => {
    assert.strictEqual(TerminalText.printable("plain photos/naïve 写真 🎉.jpg"), "plain photos/naïve 写真 🎉.jpg")
    assert.strictEqual(TerminalText.printable("\u001b[31mred\u001b[0m"), "␛[31mred␛[0m")
    assert.strictEqual(TerminalText.printable("a\nb\tc\r\u0000\u007f"), "a␊b␉c␍␀␡")
    assert.strictEqual(
      TerminalText.printable("c1 \u009b31m, half \ud83c, turned \u202egpj.exe"),
      "c1 \ufffd31m, half \ufffd, turned \ufffdgpj.exe"
    )
  })

  it("measures columns", () => {
    const widths = {
      "": 0,
      abc: 3,
      "naïve": 5,
      "e\u0301": 1,
      "写真": 4,
      "한국": 4,
      "🎉": 2,
      "🗂️": 2,
      "👩‍👩‍👧": 2,
      "ａ": 2,
      "…": 1,
      "\u0301": 0
    }
    assert.deepStrictEqual(
      Object.fromEntries(Object.keys(widths).map((text) => [text, TerminalText.width(text)])),
      widths
    )
  })

  it("cuts at the end", () => {
    assert.strictEqual(TerminalText.cutEnd("short", 5), "short")
    assert.strictEqual(TerminalText.cutEnd("longer", 5), "long…")
    assert.strictEqual(TerminalText.cutEnd("写真写真", 6), "写真…")
    assert.strictEqual(TerminalText.cutEnd("写真", 1), "…")
    assert.strictEqual(TerminalText.cutEnd("写真", 0), "")
  })

  it("cuts at the start", () => {
    assert.strictEqual(TerminalText.cutStart("photos/2024/a.jpg", 10), "…024/a.jpg")
    assert.strictEqual(TerminalText.cutStart("x/🎉🎉🎉", 5), "…🎉🎉")
    assert.strictEqual(TerminalText.cutStart("ae\u0301e\u0301", 2), "…e\u0301")
  })

  it("never passes the columns it may take", () => {
    fc.assert(fc.property(fc.string({ unit: "grapheme" }), fc.nat(20), (text, columns) => {
      const shown = TerminalText.printable(text)
      return TerminalText.width(TerminalText.cutEnd(shown, columns)) <= columns &&
        TerminalText.width(TerminalText.cutStart(shown, columns)) <= columns
    }))
  })
})
