import { assert, describe, it, vi } from "@effect/vitest"
import { Destination, UploadList } from "@sluice/core"
import type { UploadResult } from "@sluice/core"
import * as FilesNode from "@sluice/core/FilesNode"
import { Effect, Layer, Stream } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { openFiles } from "./support/OpenFiles.js"
import { afterwards, counted, patched } from "./support/PatchedFs.js"
import { filesOf, forgetful, keysOf, list, longAgo, othersOf, outcomesOf, plant } from "./support/PlantedFiles.js"
import * as TemporaryDirectory from "./support/TemporaryDirectory.js"
import { named } from "./support/TestFileSystem.js"
import { pattern } from "./support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

/** A destination that does something once it has the first block of a key. */
const meddling = (meddle: (key: string) => void) =>
  Layer.succeed(Destination.Destination, {
    name: "meddling",
    capabilities: { maxPutSize: Infinity, unknownSize: true },
    put: ({ body, key }) => {
      let blocks = 0
      return Effect.as(
        Stream.runForEach(body.stream({ blockSize: 64 * kib }), () =>
          Effect.sync(() => {
            if (++blocks === 1) meddle(key)
          })),
        {}
      )
    }
  })

describe("FilesNode", () => {
  describe("a tree that changes while it is walked", () => {
    it.scopedLive("loses a directory before it is entered, and that alone", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { "a/x": "x", "gone/y": "y", "was-directory/z": "z", "z/x": "x" })
        const items = yield* list(root, {
          filter: (key) => {
            if (key === "gone" || key === "was-directory") fs.rmSync(path.join(root, key), { recursive: true })
            if (key === "was-directory") fs.writeFileSync(path.join(root, key), "now a file")
            return true
          }
        })
        assert.deepStrictEqual(keysOf(items), ["a/x", "z/x"])
        assert.deepStrictEqual(othersOf(items), {
          "gone/": "SourceUnreadable NotFound",
          "was-directory/": "SourceUnreadable NotFound"
        })
      }))

    it.scopedLive("loses a directory while it is read, and that alone", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { "a/x": "x", "z/x": "x" })
        fs.mkdirSync(path.join(root, "gone"))
        yield* patched(
          "opendir",
          afterwards((name) => {
            if (path.basename(named(name)) === "gone") fs.rmdirSync(named(name))
          })
        )
        const items = yield* list(root)
        assert.deepStrictEqual(keysOf(items), ["a/x", "z/x"])
        // Some systems say that the directory is gone, some that it is empty.
        assert.include([undefined, "SourceUnreadable NotFound"], othersOf(items)["gone/"])
        assert.deepStrictEqual(openFiles(root), [])
      }))

    it.scopedLive("has a directory whose reading fails half-way, and that alone", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { "a/x": "x", "bad/y": "y", "z/x": "x" })
        yield* patched("opendir", (real) => (name, options, done) =>
          real(name, options, (error: unknown, handle: fs.Dir) => {
            if (error === null && path.basename(named(name)) === "bad") {
              const broken = Object.assign(new Error("EIO: i/o error"), { code: "EIO" })
              handle.read = ((failed: (error: Error) => void) =>
                failed(broken)) as typeof handle.read
              handle.readSync = () => {
                throw broken
              }
            }
            done(error, handle)
          }))
        const items = yield* list(root)
        assert.deepStrictEqual(keysOf(items), ["a/x", "z/x"])
        assert.deepStrictEqual(othersOf(items), { "bad/": "SourceUnreadable Failed" })
        const failed = items.find((item) =>
          !UploadList.isFile(item) && item._tag === "Failed"
        ) as UploadResult.Failed
        assert.include(failed.error.message, path.join(root, "bad"))
        assert.deepStrictEqual(openFiles(root), [])
      }))

    it.scopedLive("loses a file between its name and its look, and that alone", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { a: "x", gone: "y", z: "x" })
        for (const look of ["lstat", "lstatSync"] as const) {
          yield* patched(look, (real) => (name, ...rest) => {
            if (path.basename(name) === "gone" && fs.existsSync(name)) fs.unlinkSync(name)
            return real(name, ...rest)
          })
        }
        const items = yield* list(root)
        assert.deepStrictEqual(keysOf(items), ["a", "z"])
        assert.deepStrictEqual(othersOf(items), { gone: "SourceUnreadable NotFound" })
      }))
  })

  describe("a file that changes", () => {
    /** A tree with one good file and one for each change, all of them old. */
    const planted = (changes: Readonly<Record<string, unknown>>, size: number) =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        for (const name of ["good", ...Object.keys(changes)]) {
          plant(root, { [name]: pattern(size) })
          fs.utimesSync(path.join(root, name), longAgo, longAgo)
        }
        return root
      })

    type Change = (file: string, size: number) => void

    const changes: Readonly<Record<string, readonly [change: Change, expected: string]>> = {
      vanished: [(file) => fs.rmSync(file), "SourceUnreadable NotFound"],
      truncated: [(file, size) => fs.truncateSync(file, size / 2), "SourceChanged EndedEarly"],
      grown: [(file) => fs.appendFileSync(file, "more"), "SourceChanged Grew"],
      touched: [(file) => fs.utimesSync(file, longAgo, new Date("2002-02-02")), "SourceChanged Modified"],
      overwritten: [(file, size) => fs.writeFileSync(file, pattern(size, 2), { flag: "r+" }), "SourceChanged Modified"],
      replaced: [(file, size) => {
        fs.writeFileSync(`${file}.new`, pattern(size, 2))
        fs.utimesSync(`${file}.new`, longAgo, longAgo)
        fs.renameSync(`${file}.new`, file)
      }, "SourceChanged Modified"]
    }

    const becomes: typeof changes = {
      emptied: [(file) => fs.truncateSync(file, 0), "SourceChanged EndedEarly"],
      directory: [(file) => {
        fs.rmSync(file)
        fs.mkdirSync(file)
      }, "SourceUnreadable Failed"],
      link: [(file) => {
        fs.renameSync(file, `${file}.moved`)
        fs.symlinkSync(`${path.basename(file)}.moved`, file)
      }, "SourceUnreadable Failed"],
      fifo: [(file) => {
        fs.rmSync(file)
        execFileSync("mkfifo", [file])
      }, "SourceUnreadable Failed"]
    }

    const expected = (table: typeof changes) => ({
      good: "Uploaded",
      ...Object.fromEntries(Object.entries(table).map(([name, [, outcome]]) => [name, outcome]))
    })

    it.scopedLive("after it was listed fails alone, by its class: in one piece", () =>
      Effect.gen(function*() {
        const table = { ...changes, ...becomes }
        const root = yield* planted(table, 1000)
        const files = filesOf(yield* list(root))
        for (const [name, [change]] of Object.entries(table)) change(path.join(root, name), 1000)
        assert.deepStrictEqual(yield* outcomesOf(files, forgetful), expected(table))
        assert.deepStrictEqual(openFiles(root), [])
      }))

    it.scopedLive("after it was listed fails alone, before it is read: in blocks", () =>
      Effect.gen(function*() {
        const size = 3 * mib
        const table = { ...changes, ...becomes }
        const root = yield* planted(table, size)
        const files = filesOf(yield* list(root))
        for (const [name, [change]] of Object.entries(table)) change(path.join(root, name), size)
        const opened = new Map<number, string>()
        const read = new Set<string>()
        yield* patched("open", (real) => (name, flags, done) =>
          real(name, flags, (error: unknown, descriptor: number) => {
            opened.set(descriptor, path.basename(name))
            done(error, descriptor)
          }))
        yield* patched(
          "read",
          counted((descriptor) =>
            read.add(opened.get(descriptor) ?? "another")
          )
        )
        assert.deepStrictEqual(yield* outcomesOf(files, forgetful), expected(table))
        assert.deepStrictEqual([...read], ["good"])
        assert.deepStrictEqual(openFiles(root), [])
      }))

    it.scopedLive("after it was listed as empty fails alone, by its class", () =>
      Effect.gen(function*() {
        // There is nothing to read in them: only the fingerprint tells.
        const table = {
          grown: changes["grown"]!,
          touched: changes["touched"]!,
          vanished: changes["vanished"]!,
          fifo: becomes["fifo"]!
        }
        const root = yield* planted(table, 0)
        const files = filesOf(yield* list(root))
        for (const [name, [change]] of Object.entries(table)) change(path.join(root, name), 0)
        assert.deepStrictEqual(yield* outcomesOf(files, forgetful), expected(table))
      }))

    it.scopedLive("while it is uploaded in blocks fails alone, by its class", () =>
      Effect.gen(function*() {
        const size = 3 * mib
        const root = yield* planted(changes, size)
        const meddle = meddling((key) => changes[key]?.[0](path.join(root, key), size))
        assert.deepStrictEqual(yield* outcomesOf(FilesNode.directory(root), meddle), expected(changes))
        assert.deepStrictEqual(openFiles(root), [])
      }))

    it.scopedLive("while it is read in one piece fails alone, by its class", () =>
      Effect.gen(function*() {
        const size = 1000
        // What is read in one piece is read before it changes: only the fingerprint tells.
        const root = yield* planted(changes, size)
        const opened = new Map<number, string>()
        const meddle = (descriptor: number) => {
          const name = path.basename(opened.get(descriptor) ?? "")
          opened.delete(descriptor)
          changes[name]?.[0](path.join(root, name), size)
        }
        yield* patched("open", (real) => (name, flags, done) =>
          real(name, flags, (error: unknown, descriptor: number) => {
            opened.set(descriptor, name)
            done(error, descriptor)
          }))
        yield* patched("read", afterwards(meddle))
        // So are files that are read at once, while nothing else runs.
        yield* patched("openSync", (real) => (name, flags) => {
          const descriptor: number = real(name, flags)
          opened.set(descriptor, name)
          return descriptor
        })
        yield* patched("readSync", (real) => (...args) => {
          const read: number = real(...args)
          meddle(args[0])
          return read
        })
        assert.deepStrictEqual(yield* outcomesOf(FilesNode.directory(root), forgetful), expected(changes))
        assert.deepStrictEqual(openFiles(root), [])
      }))
  })
})
