import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc } from "effect"
import * as Glob from "../../src/sources/Glob.js"

const matches = (glob: string, text: string): boolean => Glob.matcher(Either.getOrThrow(Glob.parse(glob)))(text)

/** Globs, with what each matches, and what it does not. */
const table: ReadonlyArray<readonly [glob: string, yes: ReadonlyArray<string>, no: ReadonlyArray<string>]> = [
  ["*.jpg", ["a.jpg", ".jpg", "a.b.jpg"], ["a.JPG", "a.jpgs", "x/a.jpg"]],
  ["a*b*c", ["abc", "a--b--c", "abcbc"], ["ab", "a/bc"]],
  ["?.txt", ["a.txt", "é.txt", "🎉.txt"], [".txt", "ab.txt", "/.txt"]],
  ["**", ["", "a", "a/b/c"], []],
  ["**/a", ["a", "x/a", "x/y/a"], ["xa", "x/ya", "a/x"]],
  ["a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "x/a/b"]],
  ["a/**b", ["a/b", "a/xb", "a/x/yb"], ["ab", "a/x"]],
  ["a**b", ["ab", "a/b", "axxb", "a/x/yb"], ["a/b/c"]],
  ["***", ["a/b"], []],
  ["[abc]", ["a", "c"], ["d", "[abc]", ""]],
  ["[a-c]x", ["ax", "cx"], ["dx", "-x"]],
  ["[!a-c]", ["d", "é", "🎉"], ["a", "/"]],
  ["[^a-c]", ["d", "^"], ["a", "/"]],
  ["[]a]", ["]", "a"], ["b"]],
  ["[!]a]", ["b"], ["]", "a"]],
  ["[a-]", ["a", "-"], ["b"]],
  ["[\\]]", ["]"], ["\\"]],
  ["[a/b]", ["a", "b"], ["/"]],
  ["\\[a", ["[a"], ["a"]],
  ["report \\[1.pdf", ["report [1.pdf"], ["report 1.pdf"]],
  ["\\[z-a]", ["[z-a]"], ["z"]],
  ["a]", ["a]"], ["a"]],
  ["\\[]", ["[]"], [""]],
  ["{a,b}.txt", ["a.txt", "b.txt"], ["c.txt", "{a,b}.txt"]],
  ["{a,b{c,d}}", ["a", "bc", "bd"], ["b", "bcd"]],
  ["{,x}a", ["a", "xa"], ["xxa"]],
  ["{a/b,c}", ["a/b", "c"], ["a"]],
  ["{*.jpg,[xy]}", ["a.jpg", "x"], ["z"]],
  ["{a}", ["{a}"], ["a"]],
  ["\\{a", ["{a"], ["a"]],
  ["[{]a", ["{a"], ["a"]],
  ["a}", ["a}"], ["a"]],
  ["{1..3}", ["{1..3}"], ["1"]],
  ["a,b", ["a,b"], ["a", "b"]],
  ["{a\\,b,c}", ["a,b", "c"], ["a", "b"]],
  ["\\*", ["*"], ["a", "\\*"]],
  ["\\\\", ["\\"], ["\\\\"]],
  ["a\\\\", ["a\\"], ["a"]],
  // What other dialects read as something else.
  ["*(copy)*", ["photo (copy).jpg", "(copy)"], ["photo.jpg", "copy", ""]],
  ["* (1).*", ["photo (1).jpg"], ["photo 1.jpg", "photo.jpg"]],
  ["(a|b)", ["(a|b)"], ["a", "b"]],
  ["a|b", ["a|b"], ["a", "b"]],
  ["@(a|b)", ["@(a|b)"], ["a", "b", "@a"]],
  ["?(a)", ["x(a)"], ["a", ""]],
  ["+(a)", ["+(a)"], ["a", "aa"]],
  ["*(a)", ["(a)", "x(a)"], ["a", "aa", ""]],
  ["!(a)", ["!(a)"], ["b", "a"]],
  ["!a", ["!a"], ["b", "a"]],
  ["a+", ["a+"], ["a", "aa"]],
  ["^a$", ["^a$"], ["a"]],
  ["a.c", ["a.c"], ["abc"]],
  ["#a", ["#a"], []],
  ["~a", ["~a"], []],
  ["$HOME", ["$HOME"], []],
  ["\"a\"", ["\"a\""], ["a"]],
  ["写真*", ["写真 🎉.jpg"], ["写"]],
  ["a\nb", ["a\nb"], []],
  ["*", ["a\nb"], []]
]

/** The same, as plainly as it can be said: what is left of a text after what a glob takes from its beginning. */
const reference = (glob: ReadonlyArray<string>, text: string): boolean => {
  const [first, ...rest] = glob
  if (first === undefined) return text === ""
  const ends = Array.from({ length: text.length + 1 }, (_, i) => i)
  switch (first) {
    case "*":
      return ends.some((end) => !text.slice(0, end).includes("/") && reference(rest, text.slice(end)))
    case "**":
      return ends.some((end) => reference(rest, text.slice(end)))
    case "**/":
      return ends.some((end) => (end === 0 || text[end - 1] === "/") && reference(rest, text.slice(end)))
    case "?":
      return text !== "" && text[0] !== "/" && reference(rest, text.slice(1))
    case "[!a]":
      return text !== "" && text[0] !== "/" && text[0] !== "a" && reference(rest, text.slice(1))
    case "{a,b/}":
      return ["a", "b/"].some((one) => text.startsWith(one) && reference(rest, text.slice(one.length)))
    default:
      return text.startsWith(first.replace("\\", "")) && reference(rest, text.slice(first.replace("\\", "").length))
  }
}

describe("Glob", () => {
  for (const [glob, yes, no] of table) {
    it(`${JSON.stringify(glob)} matches what it says, and nothing else`, () => {
      assert.deepStrictEqual(yes.filter((text) => !matches(glob, text)), [])
      assert.deepStrictEqual(no.filter((text) => matches(glob, text)), [])
    })
  }

  it("means the same as a plain reading of it", () => {
    const token = fc.constantFrom("a", "b", "/", "*", "**", "?", "[!a]", "{a,b/}", "\\*", "(", ")", "|", "+", "!")
    // A ** includes the following slash only if it is a whole name.
    const globs = fc.array(token, { maxLength: 7 }).map((tokens) =>
      tokens.flatMap((token, i) =>
        token === "**" && (tokens[i - 1] === "*" || tokens[i - 1] === "**" || tokens[i + 1] === "*") ? [] : [token]
      )
    )
    const merged = (tokens: ReadonlyArray<string>): Array<string> =>
      tokens.reduce<Array<string>>((all, token, i) => {
        const before = all.at(-1)
        const starts = all.length === 1 || all.at(-2)?.endsWith("/") === true && all.at(-2) !== "{a,b/}"
        if (before === "*" && token === "*") return [...all.slice(0, -1), "**"]
        if (before === "**" && token === "*") return all
        if (before === "**" && token === "/" && starts && i < tokens.length - 1) return [...all.slice(0, -1), "**/"]
        return [...all, token]
      }, [])
    const texts = fc.stringMatching(/^[ab/*()|+!]{0,8}$/)
    fc.assert(
      fc.property(globs, texts, (tokens, text) => matches(tokens.join(""), text) === reference(merged(tokens), text)),
      { numRuns: 20_000 }
    )
  })

  it("takes no more steps than the glob has characters times those of the name", () => {
    // Each of these would take longer than the universe by trying one way after the other.
    const name = "a".repeat(1_000)
    assert.isFalse(matches(`${"*a".repeat(500)}c`, name))
    assert.isFalse(matches(`${"**a".repeat(500)}c`, name))
    assert.isFalse(matches(`${"**/".repeat(300)}c`, "a/".repeat(500)))
    assert.isFalse(matches(`${"{a,aa}".repeat(400)}c`, name))
    assert.isFalse(matches(`${"{,a}".repeat(400)}c`, name))
    assert.isTrue(Either.isLeft(Glob.parse("{".repeat(5_000))))
    assert.isTrue(Either.isLeft(Glob.parse("{a,".repeat(1_000))))
  })

  it("refuses what it cannot parse", () => {
    assert.deepStrictEqual(
      ["[[:digit:]]*", "[z-a]"].map((glob) => Either.flip(Glob.parse(glob))),
      [
        Either.right("has a class such as [:digit:], which is not supported: write [0-9]"),
        Either.right("has a range in brackets whose end comes before its start")
      ]
    )
  })

  it("refuses mistakes, and says how to write the characters themselves", () => {
    const said = (globs: ReadonlyArray<string>, problem: string) =>
      assert.deepStrictEqual(globs.map((glob) => Either.flip(Glob.parse(glob))), globs.map(() => Either.right(problem)))
    said(["[a", "[]", "[!]", "report [1.pdf", "[a\\]", "{a,[b}", "a]["], unclosed("[", "]"))
    said(["{a", "{a,b", "{{a,b}", "{a,b\\}", "{a[}]", "}{"], unclosed("{", "}"))
    said(["a\\", "raw\\", "\\", "\\\\\\"], trailing)
  })
})

const unclosed = (open: string, close: string): string =>
  `has a ${open} without a ${close}: write \\${open} for the character itself`

const trailing = "ends with a \\: write / between names, or \\\\ for the character itself"
