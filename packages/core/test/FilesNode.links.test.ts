import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { collect, filesOf, forgetful, keysOf, list, othersOf, outcomesOf, plant } from "./support/PlantedFiles.js"
import * as TemporaryDirectory from "./support/TemporaryDirectory.js"

vi.setConfig({ testTimeout: 30_000 })

describe("FilesNode", () => {
  describe("symbolic links", () => {
    const linked = Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.make
      const root = path.join(directory, "root")
      plant(directory, { "outside/secret": "s", "root-too/x": "x", "root/file": "file", "root/real/deep/x": "x" })
      const links = {
        "to-file": "file",
        "to-deep-file": "real/deep/x",
        "a-link": "real",
        "z-link": "real/deep",
        "out-file": "../outside/secret",
        "out-directory": "../outside",
        "out-sibling": "../root-too",
        "out-absolute": path.join(directory, "outside/secret"),
        "out-twice": "out-file",
        broken: "nowhere",
        itself: "itself",
        "real/up": "..",
        "real/top": "../..",
        "real/deep/here": ".",
        "real/deep/over": "../../real"
      }
      for (const [name, target] of Object.entries(links)) fs.symlinkSync(target, path.join(root, name))
      return { links, root }
    })

    it.scopedLive("are skipped unless asked for", () =>
      Effect.gen(function*() {
        const { links, root } = yield* linked
        const items = yield* list(root)
        assert.deepStrictEqual(keysOf(items), ["file", "real/deep/x"])
        assert.deepStrictEqual(
          othersOf(items),
          Object.fromEntries(
            Object.keys(links).map((key) => [key, "It is a symbolic link, and links are not followed."])
          )
        )
      }))

    it.scopedLive("are followed inside, never out and never around", () =>
      Effect.gen(function*() {
        const { root } = yield* linked
        const items = yield* list(root, { followSymlinks: true })
        assert.deepStrictEqual(keysOf(items), [
          "a-link/deep/x",
          "file",
          "real/deep/x",
          "to-deep-file",
          "to-file",
          "z-link/x"
        ])
        const out = "It is a symbolic link that leads out of the directory."
        const around = "It is a symbolic link to a directory that contains it."
        assert.deepStrictEqual(othersOf(items), {
          "a-link/deep/here": around,
          "a-link/deep/over": around,
          "a-link/top": out,
          "a-link/up": around,
          broken: "SourceUnreadable NotFound",
          itself: "SourceUnreadable Failed",
          "out-absolute": out,
          "out-directory": out,
          "out-file": out,
          "out-sibling": out,
          "out-twice": out,
          "real/deep/here": around,
          "real/deep/over": around,
          "real/top": out,
          "real/up": around,
          "z-link/here": around,
          "z-link/over/deep": around,
          "z-link/over/top": out,
          "z-link/over/up": around
        })
        const bytes = yield* filesOf(items).find((file) => file.key === "to-deep-file")!.source.bytes({ offset: 0 })
        assert.strictEqual(Buffer.from(bytes).toString(), "x")
      }))

    it.scopedLive("to each other come to an end", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { "a/x": "x", "b/y": "y" })
        fs.symlinkSync("../b", path.join(root, "a/to-b"))
        fs.symlinkSync("../a", path.join(root, "b/to-a"))
        const items = yield* list(root, { followSymlinks: true })
        assert.deepStrictEqual(keysOf(items), ["a/to-b/y", "a/x", "b/to-a/x", "b/y"])
        assert.deepStrictEqual(Object.keys(othersOf(items)).sort(), ["a/to-b/to-a", "b/to-a/to-b"])
      }))

    it.scopedLive("never take a real directory's place", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { "z/real/x": "x" })
        fs.symlinkSync("z/real", path.join(root, "a"))
        assert.include(keysOf(yield* list(root, { followSymlinks: true })), "z/real/x")
      }))

    it.scopedLive("that appear after the listing are not followed", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { "in/file": "harmless", secret: "harmful!" })
        const [file] = filesOf(yield* list(path.join(root, "in")))
        fs.rmSync(path.join(root, "in/file"))
        fs.symlinkSync("../secret", path.join(root, "in/file"))
        assert.strictEqual((yield* Effect.flip(file!.source.bytes({ offset: 0 })))._tag, "SourceUnreadable")
        assert.strictEqual((yield* Effect.flip(collect(file!.source, { offset: 0 })))._tag, "SourceUnreadable")
        assert.deepStrictEqual(yield* outcomesOf([file!], forgetful), { file: "SourceUnreadable Failed" })
      }))
  })
})
