import { assert, describe, it } from "@effect/vitest"
import { UploadList } from "@sluice/core"
import { Chunk, Effect, Either, Stream } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Filter from "../../src/sources/Filter.js"
import * as Sources from "../../src/sources/Sources.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const options: Sources.Options = { filter: Filter.everything, followSymlinks: false }

const itemsOf = ({ items }: Sources.Sources) =>
  Stream.StreamTypeId in items ? Effect.map(Stream.runCollect(items), Chunk.toReadonlyArray) : Effect.succeed(items)

const subjectOf = (item: UploadList.Item) => UploadList.isFile(item) ? item : item.file

/** Keys with the paths that they come from; what is not a file says what it is. */
const listed = (root: string, sources: Sources.Sources) =>
  Effect.map(itemsOf(sources), (items) =>
    items.map((item) => [
      UploadList.isFile(item) ? item.key : `${item._tag} ${item.file.key}`,
      path.relative(root, sources.locations.of(subjectOf(item)) ?? "nowhere")
    ]))

const failureOf = (paths: ReadonlyArray<string>, changes: Partial<Sources.Options> = {}) =>
  Effect.map(Effect.flip(Sources.fromPaths(paths, { ...options, ...changes })), ({ exitCode, message }) => ({
    exitCode,
    message
  }))

describe("Sources", () => {
  it.scopedLive("lists directories by relative paths, and files by base names", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({
        "d/a.txt": "a",
        "d/x/b.txt": "b",
        "e/c.txt": "c",
        "x/f.txt": ""
      })
      const sources = yield* Sources.fromPaths([`${root}/d`, `${root}/x/f.txt`, `${root}/e/`], options)
      assert.deepStrictEqual(yield* listed(root, sources), [
        ["a.txt", "d/a.txt"],
        ["x/b.txt", "d/x/b.txt"],
        ["f.txt", "x/f.txt"],
        ["c.txt", "e/c.txt"]
      ])
    }))

  it.scopedLive("knows a list of files at once", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "d/a.txt": "a", "b.txt": "b", "c.log": "" })
      const filter = Either.getOrThrow(Filter.make({ include: [], exclude: ["*.log"] }))
      const sources = yield* Sources.fromPaths([`${root}/d/a.txt`, `${root}/b.txt`, `${root}/c.log`], {
        ...options,
        filter
      })
      assert.isArray(sources.items)
      assert.deepStrictEqual(yield* listed(root, sources), [["a.txt", "d/a.txt"], ["b.txt", "b.txt"]])
    }))

  it.scopedLive("also lists what cannot be uploaded", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "d/a.txt": "a" })
      fs.symlinkSync("a.txt", `${root}/d/link`)
      const sources = yield* Sources.fromPaths([`${root}/d`], options)
      assert.deepStrictEqual(yield* listed(root, sources), [["a.txt", "d/a.txt"], ["Skipped link", "d/link"]])
      const followed = yield* Sources.fromPaths([`${root}/d`], { ...options, followSymlinks: true })
      assert.deepStrictEqual(yield* listed(root, followed), [["a.txt", "d/a.txt"], ["link", "d/link"]])
    }))

  it.scopedLive("fails if a source does not exist", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      assert.deepStrictEqual(yield* failureOf([`${root}/a.txt`, `${root}/b.txt`]), {
        exitCode: 3,
        message: `The source ${root}/b.txt does not exist.`
      })
      assert.deepStrictEqual(yield* failureOf([`${root}/a.txt/b`]), {
        exitCode: 3,
        message: `The source ${root}/a.txt/b is below something that is not a directory.`
      })
      assert.deepStrictEqual(yield* failureOf(["/dev/null"]), {
        exitCode: 3,
        message: "The source cannot be uploaded: /dev/null is not a regular file."
      })
    }))

  it.scopedLive("becomes a failed item if the directory no longer exists when its turn comes", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "d/a.txt": "a" })
      const sources = yield* Sources.fromPaths([`${root}/d`], options)
      fs.rmSync(`${root}/d`, { recursive: true })
      assert.deepStrictEqual(yield* listed(root, sources), [["Failed ./", "d"]])
    }))

  describe("shared keys", () => {
    const files = {
      "one/same.txt": "1",
      "one/only.txt": "1",
      "one/deep/er/same.txt": "1",
      "two/same.txt": "2",
      "two/deep/er/same.txt": "2",
      "two/deep/only.txt": "2",
      "three/deep/er/other.txt": "3",
      "three/only.txt/x": "3"
    }
    const shares = (one: string, other: string, key: string) => ({
      exitCode: 2,
      message:
        `${one} and ${other} both have the key ${JSON.stringify(key)}, and the destination can hold only one of ` +
        "them. Upload them to different destinations."
    })

    it.scopedLive("are found between files, directories, and both", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles(files)
        const [one, two, three] = [`${root}/one`, `${root}/two`, `${root}/three`] as const
        assert.deepStrictEqual(
          yield* failureOf([`${one}/same.txt`, `${two}/same.txt`]),
          shares(`${one}/same.txt`, `${two}/same.txt`, "same.txt")
        )
        assert.deepStrictEqual(
          yield* failureOf([one, `${two}/same.txt`]),
          shares(`${two}/same.txt`, `${one}/same.txt`, "same.txt")
        )
        assert.deepStrictEqual(
          yield* failureOf([three, one, two]),
          shares(`${one}/same.txt`, `${two}/same.txt`, "same.txt")
        )
        assert.deepStrictEqual(yield* failureOf([one, one]), shares(`${one}/only.txt`, `${one}/only.txt`, "only.txt"))
        const filter = Either.getOrThrow(Filter.make({ include: [], exclude: ["/same.txt"] }))
        assert.deepStrictEqual(
          yield* failureOf([one, two], { filter }),
          shares(`${one}/deep/er/same.txt`, `${two}/deep/er/same.txt`, "deep/er/same.txt")
        )
      }))

    it.scopedLive("are allowed if one is left out, or is a directory", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles(files)
        const filter = Either.getOrThrow(Filter.make({ include: [], exclude: ["/same.txt", "er"] }))
        yield* Sources.fromPaths([`${root}/one`, `${root}/two`], { ...options, filter })
        yield* Sources.fromPaths([`${root}/one`, `${root}/three`], options)
        yield* Sources.fromPaths([`${root}/one/only.txt`, `${root}/three`], options)
      }))

    it.scopedLive("are looked for behind links only if links are followed", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "one/x/a.txt": "1", "two/y/a.txt": "2" })
        fs.symlinkSync("y", `${root}/two/x`)
        yield* Sources.fromPaths([`${root}/one`, `${root}/two`], options)
        assert.deepStrictEqual(
          yield* failureOf([`${root}/one`, `${root}/two`], { followSymlinks: true }),
          shares(`${root}/one/x/a.txt`, `${root}/two/x/a.txt`, "x/a.txt")
        )
      }))
  })
})
