import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import * as Filter from "../../src/sources/Filter.js"

const make = (include: ReadonlyArray<string>, exclude: ReadonlyArray<string> = []) =>
  Either.getOrThrow(Filter.make({ include, exclude }))

const taken = (filter: Filter.Filter, ...keys: ReadonlyArray<string>) => keys.filter((key) => filter.wantsFile(key))

describe("Filter", () => {
  it("takes everything without globs", () => {
    assert.strictEqual(make([]), Filter.everything)
  })

  it("matches base names at any depth", () => {
    assert.deepStrictEqual(
      taken(make(["*.jpg"]), "a.jpg", "x/y/b.jpg", "x/b.jpg/c.txt", ".jpg", "x/.hidden.jpg", "a.JPG", "a.png"),
      ["a.jpg", "x/y/b.jpg", "x/b.jpg/c.txt", ".jpg", "x/.hidden.jpg"]
    )
  })

  it("matches whole keys by globs with a slash", () => {
    assert.deepStrictEqual(taken(make(["raw/*.jpg"]), "raw/a.jpg", "raw/x/b.jpg", "x/raw/c.jpg"), ["raw/a.jpg"])
    assert.deepStrictEqual(taken(make(["raw/**"]), "raw/a", "raw/x/.b", "x/raw/c", "raws/d"), ["raw/a", "raw/x/.b"])
    assert.deepStrictEqual(taken(make(["**/raw/**"]), "raw/a", "x/raw/c", "x/y"), ["raw/a", "x/raw/c"])
    assert.deepStrictEqual(taken(make(["/top.txt"]), "top.txt", "x/top.txt"), ["top.txt"])
    assert.deepStrictEqual(taken(make(["./top.txt"]), "top.txt", "x/top.txt"), ["top.txt"])
  })

  it("takes everything in a directory that matches", () => {
    assert.deepStrictEqual(taken(make(["photos"]), "photos/a/b", "x/photos/c", "photos", "photo"), [
      "photos/a/b",
      "x/photos/c",
      "photos"
    ])
    assert.deepStrictEqual(taken(make(["photos/"]), "photos/a/b", "x/photos/c", "photos"), ["photos/a/b", "x/photos/c"])
  })

  it("leaves out excluded files, whatever is included", () => {
    assert.deepStrictEqual(
      taken(make(["*.jpg"], ["old", "IMG_*"]), "a.jpg", "old/b.jpg", "x/old/y/c.jpg", "x/IMG_1.jpg"),
      ["a.jpg"]
    )
  })

  it("does not look into directories that are left out", () => {
    const filter = make([], [".git", "node_modules/", "build/**", "*.tmp"])
    assert.deepStrictEqual(
      [".git", "x/.git", "node_modules", "build", "x/build", "x.tmp", "src"].filter((key) =>
        filter.wants(key, "directory")
      ),
      ["x/build", "src"]
    )
    assert.isTrue(filter.wants("node_modules", "file"))
  })

  it("searches every directory for included files", () => {
    assert.isTrue(make(["*.jpg"]).wants("x", "directory"))
    assert.isFalse(make(["*.jpg"]).wants("x", "file"))
  })

  it("reads braces, classes and odd names, and no negation", () => {
    assert.deepStrictEqual(taken(make(["*.{jpg,png}"]), "a.jpg", "b.png", "c.gif"), ["a.jpg", "b.png"])
    assert.deepStrictEqual(taken(make(["[ab].txt"]), "a.txt", "c.txt"), ["a.txt"])
    assert.deepStrictEqual(taken(make(["!keep.txt"]), "!keep.txt", "other"), ["!keep.txt"])
    assert.deepStrictEqual(taken(make(["写真*"]), "写真 🎉.jpg", "x"), ["写真 🎉.jpg"])
    assert.deepStrictEqual(taken(make(["a\\*b"]), "a*b", "axb"), ["a*b"])
  })

  it("matches parentheses and brackets in names literally", () => {
    const names = ["report (1).pdf", "report 1.pdf", "a (copy).txt", "a.txt"]
    assert.deepStrictEqual(taken(make([], ["*(copy)*"]), ...names), ["report (1).pdf", "report 1.pdf", "a.txt"])
    assert.deepStrictEqual(taken(make([], ["* (1).*"]), ...names), ["report 1.pdf", "a (copy).txt", "a.txt"])
    assert.deepStrictEqual(taken(make(["report (1).pdf"]), ...names), ["report (1).pdf"])
    assert.deepStrictEqual(taken(make([], ["!(keep)"]), "keep", "other"), ["keep", "other"])
    assert.deepStrictEqual(taken(make([], ["a|b", "^a", "a+"]), "a", "b", "aa", "a|b"), ["a", "b", "aa"])
  })

  it("takes ** across directories, at any depth", () => {
    assert.deepStrictEqual(taken(make(["a**b"]), "ab", "x/a/b", "x/ab", "xa/b"), ["ab", "x/a/b", "x/ab"])
    assert.deepStrictEqual(taken(make(["**"]), "a", "x/y"), ["a", "x/y"])
    assert.deepStrictEqual(taken(make(["**/"]), "a", "x/y"), ["x/y"])
    assert.deepStrictEqual(taken(make(["{raw,old}/**"]), "raw/a", "old/x/y", "x/raw/z", "raw"), ["raw/a", "old/x/y"])
  })

  it("counts what it leaves out, by pattern, and knows which patterns matched nothing", () => {
    const filter = Either.getOrThrow(
      Filter.makeCounting({ include: ["*.jpg", "*.gif"], exclude: ["old", "*.tmp", "*.bak"] })
    )
    for (const key of ["a.jpg", "b.png", "x.tmp", "c.png"]) filter.wants(key, "file")
    filter.wants("old", "directory")
    filter.uncounted.wants("y.bak", "file")
    assert.deepStrictEqual(filter.leftOut(), {
      excluded: [
        { flag: "--exclude", glob: "old", files: 0, directories: 1 },
        { flag: "--exclude", glob: "*.tmp", files: 1, directories: 0 }
      ],
      notIncluded: 2,
      included: [{ flag: "--include", glob: "*.jpg" }, { flag: "--include", glob: "*.gif" }],
      unmatched: [{ flag: "--include", glob: "*.gif" }, { flag: "--exclude", glob: "*.bak" }]
    })
  })

  it("refuses a glob that is empty", () => {
    assert.deepStrictEqual(
      Filter.make({ include: [], exclude: ["/"] }),
      Either.left("--exclude: \"/\" matches nothing. It takes a glob, such as \"*.jpg\" or \"raw/**\".")
    )
  })
})
