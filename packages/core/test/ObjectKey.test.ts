import { assert, describe, it } from "@effect/vitest"
import { ObjectKey } from "@sluice/core"
import * as fc from "fast-check"

describe("ObjectKey.problem", () => {
  it("refuses every hostile name, and says why", () => {
    const hostile: Record<string, string> = {
      "": "is empty",
      "\0": "contains a NUL character",
      "a\0b": "contains a NUL character",
      "photo.jpg\0.exe": "contains a NUL character",
      "dir/\0": "contains a NUL character",
      "/": "is an absolute path",
      "//": "is an absolute path",
      "/a": "is an absolute path",
      "/etc/passwd": "is an absolute path",
      "//server/share": "is an absolute path",
      "/../a": "is an absolute path",
      "..": "contains a \"..\" segment",
      "../a": "contains a \"..\" segment",
      "../../etc/passwd": "contains a \"..\" segment",
      "a/..": "contains a \"..\" segment",
      "a/../b": "contains a \"..\" segment",
      "a/b/../../../c": "contains a \"..\" segment",
      "a/../..": "contains a \"..\" segment",
      "a//../b": "contains a \"..\" segment",
      ".": "contains a \".\" segment",
      "./a": "contains a \".\" segment",
      "a/.": "contains a \".\" segment",
      "a/./b": "contains a \".\" segment",
      "\ud800": "is not well-formed Unicode",
      "a/\udfff/b": "is not well-formed Unicode",
      "\udc00\ud800": "is not well-formed Unicode"
    }
    const keys = Object.keys(hostile)
    assert.isAtLeast(keys.length, 24)
    assert.deepStrictEqual(Object.fromEntries(keys.map((key) => [key, ObjectKey.problem(key)])), hostile)
  })

  it("takes odd names that are harmless", () => {
    const odd = [
      ["a", "a.b", ".hidden", "..hidden", "...", "....", "a..b", "a..", "a.", ".a/..b/c..", "-", "--help", "-rf"],
      [
        " ",
        " a",
        "a ",
        "a b",
        "\t",
        "a\nb",
        "\r\n",
        "..\n",
        "\u007f",
        "\u0001",
        "~",
        "~root",
        "$HOME",
        "%2e%2e/%2f"
      ],
      [
        "ab:c",
        "1:x",
        "a/C:x",
        "*",
        "?",
        "<>|\"'`",
        "a&b=c",
        "a#b",
        "a?b",
        "a%b",
        "a+b",
        "a;b",
        "{a,b}",
        "[a]"
      ],
      [
        "ü",
        "u\u0308",
        "日本語/ファイル.txt",
        "🎉",
        "👩‍👩‍👧‍👦/a",
        "\ufeffbom",
        "\u202egpj.exe",
        "\u200b",
        "a\\b",
        "CON",
        "nul.txt"
      ],
      ["a".repeat(1_024), "a/".repeat(500) + "a", "constructor", "__proto__", "undefined", "null"]
    ].flat()
    assert.deepStrictEqual(odd.filter((key) => ObjectKey.problem(key) !== undefined), [])
  })

  it("refuses exactly the keys with a bad segment or a NUL", () => {
    const segment = fc.oneof(
      fc.constantFrom("", ".", "..", "...", "a", "C:", "c:x", "\0", "a\0", "ab:"),
      fc.fullUnicodeString({ maxLength: 5 }).filter((text) => !text.includes("/"))
    )
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (segments) => {
        const key = segments.join("/")
        const refused = key === "" || key.startsWith("/") ||
          segments.some((name) => name === "." || name === ".." || name.includes("\0"))
        assert.strictEqual(ObjectKey.problem(key) !== undefined, refused)
        assert.strictEqual(ObjectKey.problemAsPath(key) !== undefined, refused || segments.includes(""))
      }),
      { numRuns: 2_000 }
    )
  })

  it("accepts names that only an object can have, and no path", () => {
    for (const key of ["a/", "a//b", "a/b/", "a///b", "photos//"]) {
      assert.isUndefined(ObjectKey.problem(key), key)
      assert.strictEqual(ObjectKey.problemAsPath(key), "contains an empty segment", key)
    }
  })

  it("refuses drives, streams and devices only if a key becomes a path on Windows", () => {
    const onWindows: Record<string, string | undefined> = {
      "Q: notes.txt": "starts with a drive letter",
      "a:b": "starts with a drive letter",
      "C:": "starts with a drive letter",
      "C:/Windows": "starts with a drive letter",
      "c:\\Windows\\system32": "starts with a drive letter",
      "z:a/b": "starts with a drive letter",
      "notes 12:30.txt": "contains a character that Windows does not allow in names",
      "a/C:/x": "contains a character that Windows does not allow in names",
      "back\\slash": "contains a character that Windows does not allow in names",
      "tab\t": "contains a character that Windows does not allow in names",
      "dot.": "contains a segment that ends with a dot or a space, which Windows drops",
      "a /b": "contains a segment that ends with a dot or a space, which Windows drops",
      "CON": "is the name of a device",
      "a/nul.txt": "is the name of a device",
      "LPT1": "is the name of a device",
      "a//b": "contains an empty segment",
      "../a": "contains a \"..\" segment",
      "console": undefined,
      "a/b.txt": undefined,
      "日本語/ファイル.txt": undefined
    }
    const keys = Object.keys(onWindows)
    assert.deepStrictEqual(Object.fromEntries(keys.map((key) => [key, ObjectKey.problemOnWindows(key)])), onWindows)
    const drives = keys.filter((key) => /drive letter|device|character/.test(onWindows[key] ?? ""))
    assert.deepStrictEqual(drives.filter((key) => ObjectKey.problemAsPath(key) !== undefined), [])
  })
})
