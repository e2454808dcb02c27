import { assert, describe, it, vi } from "@effect/vitest"
import { UploadList } from "@sluice/core"
import type { UploadFile } from "@sluice/core"
import * as FilesNode from "@sluice/core/FilesNode"
import * as AtOnce from "@sluice/core/unstable/AtOnce"
import { Cause, Effect, Exit, Option } from "effect"
import * as fc from "fast-check"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import { errorName } from "./support/ErrorName.js"
import { counted, patched } from "./support/PatchedFs.js"
import {
  collect,
  filesOf,
  forgetful,
  keysOf,
  list,
  longAgo,
  othersOf,
  outcomesOf,
  plant
} from "./support/PlantedFiles.js"
import * as Property from "./support/Property.js"
import * as TemporaryDirectory from "./support/TemporaryDirectory.js"
import { named } from "./support/TestFileSystem.js"
import { pattern, sameBytes } from "./support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024

describe("FilesNode.entries", () => {
  it.scopedLive("refuses keys that lead out of the directory, or that no walk would give", () =>
    Effect.gen(function*() {
      const outside = yield* TemporaryDirectory.make
      const root = path.join(outside, "root")
      fs.mkdirSync(root)
      for (const file of ["secret", "root/a"]) fs.writeFileSync(path.join(outside, file), file)
      for (const followSymlinks of [false, true]) {
        const entry = yield* FilesNode.entries(root, { followSymlinks })
        for (const key of ["../secret", "./a", "a/", "b/../a", "/a", ""]) {
          const found = Option.getOrThrow(yield* entry(key))
          assert.strictEqual("_tag" in found ? found._tag : "a file", "Failed", key)
        }
        const [file] = Option.toArray(yield* entry("a"))
        assert.strictEqual((file as UploadFile.UploadFile).key, "a")
      }
    }))

  it.scopedLive("gives what a walk gives of the same names", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      plant(root, { "a.txt": "a", "x/b.txt": "b", own: "o" })
      fs.symlinkSync("a.txt", `${root}/link`)
      fs.symlinkSync("..", `${root}/out`)
      fs.symlinkSync("x", `${root}/y`)
      const own = fs.statSync(`${root}/own`, { bigint: true })
      const leaveOut = ({ dev, ino }: FilesNode.Identity) => dev === own.dev && ino === own.ino
      const look = (keys: ReadonlyArray<string>, options?: FilesNode.DirectoryOptions) =>
        Effect.flatMap(FilesNode.entries(root, options), (entry) => Effect.forEach(keys, entry))
      const names = ["a.txt", "link", "out", "own", "x/b.txt", "y"]
      for (const followSymlinks of [false, true]) {
        const filter = (key: string) => key !== "y"
        const walked = yield* list(root, { followSymlinks, leaveOut, filter })
        const looked = (yield* look(names.filter(filter), { followSymlinks, leaveOut })).flatMap(Option.toArray)
        assert.deepStrictEqual(keysOf(looked), keysOf(walked))
        assert.deepStrictEqual(othersOf(looked), othersOf(walked))
      }
      const behind = (yield* look(["y/b.txt", "x", "gone"])).flatMap(Option.toArray)
      assert.deepStrictEqual(othersOf(behind), {
        "y/b.txt": "It is behind the symbolic link y, and links are not followed.",
        x: "SourceUnreadable Failed",
        gone: "SourceUnreadable NotFound"
      })
      const through = (yield* look(["y/b.txt"], { followSymlinks: true })).flatMap(Option.toArray).filter(
        UploadList.isFile
      )
      const [file] = through
      assert.strictEqual(file === undefined ? "" : `${yield* collect(file.source, { offset: 0 })}`, "b")
    }))

  it.effect("fails for a directory that is not there", () =>
    Effect.map(
      Effect.flip(FilesNode.entries("/no/where")),
      (error) => assert.strictEqual(errorName(error), "SourceUnreadable NotFound")
    ))
})

describe("FilesNode", () => {
  describe("directory", () => {
    it.scopedLive("finds what is there, whole and as it is", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const names = ["one", "it's", "a b", "é", "e\u0301", "日本", "-rf", ".dot", "new\nline", "back\\slash", "100%"]
        const truth = new Map<string, Uint8Array>()
        for (const [i, directory] of ["", ...names, ...names.map((name) => `${name}/${name}/deep`)].entries()) {
          for (const [j, name] of names.entries()) {
            truth.set(path.posix.join(directory, `${name}.${j}`), pattern((i * 31 + j * 1009) % 5000, i * 100 + j))
          }
        }
        plant(root, Object.fromEntries(truth))
        fs.mkdirSync(path.join(root, "empty/too"), { recursive: true })
        fs.utimesSync(path.join(root, "one.0"), longAgo, longAgo)

        const files = filesOf(yield* list(root))
        assert.deepStrictEqual(files.map((file) => file.key).sort(), [...truth.keys()].sort())
        for (const file of files) {
          const bytes = truth.get(file.key)!
          assert.strictEqual(file.size, bytes.length)
          assert.isTrue(sameBytes(yield* file.source.bytes({ offset: 0 }), bytes), file.key)
          assert.isTrue(sameBytes(yield* collect(file.source, { offset: 0 }), bytes), file.key)
          assert.strictEqual(file.modifiedAt, Number(fs.statSync(path.join(root, file.key), { bigint: true }).mtimeMs))
        }
        assert.strictEqual(files.find((file) => file.key === "one.0")?.modifiedAt, longAgo.getTime())
      }))

    it.scopedLive("tells the content type by the extension", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, {
          "a.HTML": "",
          "b.tar.gz": "",
          "c": "",
          "d/e.jpeg": "",
          "f.unheardof": "",
          "g.d/html": "",
          "html": ""
        })
        assert.deepStrictEqual(filesOf(yield* list(root)).map(({ contentType, key }) => [key, contentType]), [
          ["a.HTML", "text/html"],
          ["b.tar.gz", "application/gzip"],
          ["c", undefined],
          ["f.unheardof", undefined],
          ["html", undefined],
          ["d/e.jpeg", "image/jpeg"],
          ["g.d/html", undefined]
        ])
      }))

    it.scoped("gives the bytes in the call itself where the disk is quick", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const clock = yield* Effect.clock
        const place = path.join(root, "a")
        plant(root, { a: "bytes", b: new Uint8Array(17 * 1024 * 1024) })
        const [a, b] = filesOf(yield* list(root))
        const now = ({ fingerprint, source } = a ?? assert.fail()) => {
          // After a slow read, which tests before this one may have seen, up to 4,096 are left to the thread pool.
          for (let i = 0; i <= 4096; i++) {
            const exit = AtOnce.ofSource(source, { offset: 1, fingerprint }, clock)
            if (exit === undefined) continue
            return Exit.match(exit, {
              onSuccess: (bytes) => Buffer.from(bytes).toString(),
              onFailure: (cause) => Option.map(Cause.failureOption(cause), errorName)
            })
          }
          return undefined
        }
        assert.strictEqual(now(), "ytes")
        assert.strictEqual(now(b), undefined, "it is large")
        fs.writeFileSync(place, "others")
        assert.deepStrictEqual(now(), Option.some("SourceChanged Grew"))
        fs.unlinkSync(place)
        assert.deepStrictEqual(now(), Option.some("SourceUnreadable NotFound"))
      }))

    it.scopedLive("lists in the same order every time", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`${i % 9}/${i % 3}/${i}`, "x"])))
        const keys = (items: ReadonlyArray<UploadList.Item>) => filesOf(items).map((file) => file.key)
        const first = keys(yield* list(root))
        assert.lengthOf(first, 90)
        assert.deepStrictEqual(keys(yield* list(root)), first)
      }))

    it.scopedLive("of nothing is nothing", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        assert.deepStrictEqual(yield* list(root), [])
      }))

    it.scopedLive("fails where the root is missing, is no directory, or leads nowhere", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { file: "x" })
        fs.symlinkSync("nowhere", path.join(root, "dangling"))
        fs.symlinkSync("loop", path.join(root, "loop"))
        const error = (name: string) => Effect.flip(list(path.join(root, name)))
        for (const name of ["missing", "missing/below", "file", "file/below", "dangling"]) {
          const { message, reason } = yield* error(name)
          assert.strictEqual(reason, "NotFound", name)
          assert.include(message, path.join(root, name))
        }
        assert.strictEqual((yield* error("loop")).reason, "Failed")
      }))

    it.scopedLive("may be a link itself", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { "real/a/b": "x" })
        fs.symlinkSync("real", path.join(root, "link"))
        assert.deepStrictEqual(keysOf(yield* list(path.join(root, "link"))), ["a/b"])
      }))

    it.scopedLive("skips special files", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { file: "x" })
        execFileSync("mkfifo", [path.join(root, "fifo")])
        yield* Effect.acquireRelease(
          Effect.async<net.Server>((resume) => {
            const server = net.createServer().listen(path.join(root, "socket"), () => resume(Effect.succeed(server)))
          }),
          (server) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
        )
        const items = yield* list(root)
        assert.deepStrictEqual(keysOf(items), ["file"])
        assert.deepStrictEqual(othersOf(items), {
          fifo: "It is not a regular file.",
          socket: "It is not a regular file."
        })
      }))

    it.scopedLive.skipIf(process.getuid?.() === 0)(
      "reports what may not be read, each alone (not as root)",
      () =>
        Effect.gen(function*() {
          const root = yield* TemporaryDirectory.make
          plant(root, { good: "x", "a/good": "x", "a/closed/x": "x", "a/bad": "x" })
          yield* Effect.acquireRelease(
            Effect.sync(() => {
              fs.chmodSync(path.join(root, "a/closed"), 0)
              fs.chmodSync(path.join(root, "a/bad"), 0)
            }),
            () => Effect.sync(() => fs.chmodSync(path.join(root, "a/closed"), 0o700))
          )
          assert.deepStrictEqual(yield* outcomesOf(FilesNode.directory(root), forgetful), {
            good: "Uploaded",
            "a/good": "Uploaded",
            "a/bad": "SourceUnreadable Forbidden",
            "a/closed/": "SourceUnreadable Forbidden"
          })
        })
    )

    it.scopedLive("reports names that are not UTF-8, each alone", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { "a/good": "x", "\ufffd": "a real replacement character" })
        const raw = (...bytes: Array<number>) => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(bytes)])
        fs.writeFileSync(raw(0x62, 0xff, 0x64), "x")
        fs.writeFileSync(raw(0xfe), "taken for the real one unless one looks closely")
        const items = yield* list(root)
        assert.deepStrictEqual(keysOf(items), ["a/good", "\ufffd"])
        const failed = items.flatMap((item) => UploadList.isFile(item) || item._tag !== "Failed" ? [] : [item])
        assert.deepStrictEqual(failed.map((item) => item.file.key).sort(), ["b\ufffdd", "\ufffd"])
        for (const { error } of failed) {
          assert.strictEqual(errorName(error), "SourceUnreadable Failed")
          assert.match(error.message, /not valid UTF-8/)
        }
      }))
  })

  describe("filter", () => {
    it.scopedLive("decides by key, and prunes directories without a look inside", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { "a.txt": "", "a.tmp": "", "keep/b.txt": "", "keep/b.tmp": "", "skip/c.txt": "", "skip/d/e": "" })
        fs.symlinkSync("a.txt", path.join(root, "link.txt"))
        fs.symlinkSync("a.txt", path.join(root, "link.tmp"))
        const asked: Array<string> = []
        const opened: Array<string> = []
        yield* patched("opendir", counted((name) => opened.push(path.relative(root, named(name)))))
        const items = yield* list(root, {
          filter: (key, kind) => {
            asked.push(`${kind} ${key}`)
            return kind === "directory" ? key !== "skip" : key.endsWith(".txt")
          }
        })
        assert.deepStrictEqual(keysOf(items), ["a.txt", "keep/b.txt"])
        assert.deepStrictEqual(Object.keys(othersOf(items)), ["link.txt"])
        assert.deepStrictEqual(asked.sort(), [
          "directory keep",
          "directory skip",
          "file a.tmp",
          "file a.txt",
          "file keep/b.tmp",
          "file keep/b.txt",
          "file link.tmp",
          "file link.txt"
        ])
        assert.deepStrictEqual(opened, ["", "keep"])
      }))
  })

  describe("file", () => {
    it.scopedLive("is a file under its base name, or under the key it is given", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { "a/name.txt": "content" })
        fs.symlinkSync("name.txt", path.join(root, "a/link"))
        const file = yield* FilesNode.file(path.join(root, "a/name.txt"))
        assert.strictEqual(file.key, "name.txt")
        assert.strictEqual(file.size, 7)
        const other = yield* FilesNode.file(path.join(root, "a/link"), { key: "b/c" })
        assert.strictEqual(other.key, "b/c")
        for (const { source } of [file, other]) {
          assert.strictEqual(Buffer.from(yield* source.bytes({ offset: 0 })).toString(), "content")
        }
        const outcomes = yield* outcomesOf([file, other], forgetful)
        assert.deepStrictEqual(outcomes, { "name.txt": "Uploaded", "b/c": "Uploaded" })
      }))

    it.scopedLive("has to be one", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        execFileSync("mkfifo", [path.join(root, "fifo")])
        const error = (name: string) => Effect.flip(FilesNode.file(path.join(root, name)))
        assert.strictEqual((yield* error("missing")).reason, "NotFound")
        assert.strictEqual((yield* error("")).message, `${root} is a directory.`)
        assert.strictEqual((yield* error("fifo")).message, `${path.join(root, "fifo")} is not a regular file.`)
      }))
  })

  describe("ranges", () => {
    const near = fc.constantFrom(0, 1, 256 * kib, 512 * kib, 700_000, 700_001)
    const place = fc.oneof(
      fc.nat(720_000),
      fc.tuple(near, fc.integer({ min: -2, max: 2 })).map(([at, by]) => Math.max(0, at + by))
    )

    it.scoped("are what the file's own bytes are", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const bytes = pattern(700_001)
        plant(root, { file: bytes })
        const { source } = (yield* FilesNode.file(path.join(root, "file"))) as UploadFile.UploadFile
        const range = fc.record({ offset: place, length: fc.option(place, { nil: undefined }) })
        yield* Property.check(range, ({ length, offset }) =>
          Effect.gen(function*() {
            const slice = bytes.subarray(offset, length === undefined ? undefined : offset + length)
            assert.isTrue(sameBytes(yield* collect(source, { offset, length }), slice), "read")
            assert.isTrue(sameBytes(yield* source.bytes({ offset, length }), slice), "bytes")
          }), 300)
      }))
  })
})
