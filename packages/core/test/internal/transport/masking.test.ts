import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { masking } from "../../../src/internal/transport/masking.js"

const html = (text: string) => text.replace(/[&<>"'/]/g, (sign) => `&#${sign.charCodeAt(0)};`)

const named = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("\"", "&quot;").replaceAll("/", "&sol;")

const json = (text: string) => JSON.stringify(text).slice(1, -1).replaceAll("/", "\\/")

const escapes = (text: string) =>
  Array.from(
    { length: text.length },
    (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, "0").toUpperCase()}`
  ).join("")

const percent = (text: string) =>
  Array.from(new TextEncoder().encode(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")

/** The forms in which servers and what is before them repeat what they were told. */
const forms: Readonly<Record<string, (text: string) => string>> = {
  "as it is": (text) => text,
  "in an address": encodeURIComponent,
  "in an address, each character": percent,
  "in an address, in capitals": (text) => percent(text).toUpperCase(),
  "in an address, twice": (text) => encodeURIComponent(encodeURIComponent(text)),
  "in a query": (text) => new URLSearchParams({ a: text }).toString().slice(2),
  "in JSON": json,
  "in JSON, as escapes": escapes,
  "in JSON within JSON": (text) => json(json(text)),
  "in HTML": html,
  "in HTML, by names": named,
  "in HTML, each character": (text) => Array.from(text, (sign) => `&#x${sign.codePointAt(0)?.toString(16)};`).join(""),
  "in HTML in an address": (text) => encodeURIComponent(html(text)),
  "in an address in JSON": (text) => json(encodeURIComponent(text)),
  "in hexadecimal": (text) => Buffer.from(text).toString("hex"),
  "in hexadecimal, in capitals": (text) => Buffer.from(text).toString("hex").toUpperCase()
}

const secrets = [
  "p&ss/w\"rd<'=+ x",
  "secret-token-of-mine",
  "a/b/c/d/e",
  "naïve päss 🎉",
  "last \u{10ffff} of all",
  "tok/en",
  "abc",
  "7"
]

describe("masking", () => {
  for (const [how, form] of Object.entries(forms)) {
    it(`takes out secrets of any length ${how}`, () => {
      for (const secret of secrets) {
        const said = `It says: ${form(secret)}, and no more.`
        assert.strictEqual(masking(secret)(said), "It says: <redacted>, and no more.", `${secret}: ${said}`)
      }
    })
  }

  it("removes a secret in base64, at any offset", () => {
    const secret = "secret-token-of-mine"
    for (const before of ["", "u", "us", "use"]) {
      for (const encoding of ["base64", "base64url"] as const) {
        const said = masking(secret)(Buffer.from(`${before}:${secret}`).toString(encoding))
        assert.include(said, "<redacted>")
        assert.isAtMost(said.replace("<redacted>", "").length, 10)
      }
    }
  })

  it("removes short ones if they stand alone, and leaves words alone", () => {
    assert.strictEqual(
      masking("no")("no, nothing is known: no%2Cno"),
      "<redacted>, nothing is known: <redacted>%2C<redacted>"
    )
    assert.strictEqual(masking("abc")("user%3Aabc%26x user:abc abcd"), "user%3A<redacted>%26x user:<redacted> abcd")
    assert.strictEqual(masking("", "*", "/")("a * b / c"), "a * b / c")
  })

  it("takes out secrets that are escaped with two or four digits", () => {
    const secret = "p&ss/w\"rd<'=+ x"
    const two = Array.from(secret, (sign) => `\\x${sign.charCodeAt(0).toString(16).padStart(2, "0")}`).join("")
    for (const form of [two, two.toUpperCase().replaceAll("\\X", "\\x"), escapes(secret)]) {
      assert.strictEqual(masking(secret)(`It says: ${form}.`), "It says: <redacted>.", form)
    }
  })

  it("takes out several, and those that lie over each other", () => {
    assert.strictEqual(masking("abcdefgh", "defghijk")("xabcdefghijkx"), "x<redacted>x")
    assert.strictEqual(masking("one", "two")("one and two"), "<redacted> and <redacted>")
  })

  it("leaves a text without any alone, whatever it looks like", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
      fc.pre(!text.includes("not there"))
      return masking("it is not there")(text) === text
    }))
    const odd = "100% \\ & &nope; %zz \\u12 %e2%28 &#99999999; %"
    assert.strictEqual(masking("it is not there")(odd), odd)
  })

  it("finds any secret in any mixture of forms", () => {
    const layer = fc.constantFrom(...Object.values(forms).slice(0, 12))
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-z][ -~]{8,20}[a-z]$/),
        layer,
        (secret, form) => masking(secret)(`<${form(secret)}>`) === "<<redacted>>"
      ),
      { numRuns: 1_000 }
    )
  })
})
