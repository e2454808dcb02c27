import { assert, describe, it, vi } from "@effect/vitest"
import { Destination, RetryPolicy, Strategy, Uploader, UploadList } from "@sluice/core"
import type { ByteSource, UploadError, UploadFile, UploadResult } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as FilesNode from "@sluice/core/FilesNode"
import { Cause, Chunk, Deferred, Effect, Exit, Fiber, Layer, Option, Stream } from "effect"
import * as fc from "fast-check"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { openFiles } from "./support/OpenFiles.js"
import { afterwards, counted, patched } from "./support/PatchedFs.js"
import * as Property from "./support/Property.js"
import * as TemporaryDirectory from "./support/TemporaryDirectory.js"
import { named } from "./support/TestFileSystem.js"
import { pattern, sameBytes } from "./support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

/** Writes files by name, with the directories that they need. */
const plant = (root: string, files: Readonly<Record<string, string | Uint8Array>>): void => {
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
    fs.writeFileSync(path.join(root, name), content)
  }
}

const list = (root: string, options?: FilesNode.DirectoryOptions) =>
  Effect.map(Stream.runCollect(FilesNode.directory(root, options)), (items) => Chunk.toArray(items))

const filesOf = (items: ReadonlyArray<UploadList.Item>) => items.filter(UploadList.isFile)

const keysOf = (items: ReadonlyArray<UploadList.Item>) => filesOf(items).map((file) => file.key).sort()

const errorName = (error: UploadError.UploadError) => "reason" in error ? `${error._tag} ${error.reason}` : error._tag

/** What is not a file: why, by key. */
const othersOf = (items: ReadonlyArray<UploadList.Item>) =>
  Object.fromEntries(
    items.flatMap((item) =>
      UploadList.isFile(item) ? [] : [[item.file.key, item._tag === "Skipped" ? item.reason : errorName(item.error)]]
    )
  )

const collect = (source: ByteSource.ByteSource, range: ByteSource.Range) =>
  Effect.map(Stream.runCollect(source.read(range)), (blocks) => Buffer.concat(Chunk.toArray(blocks)))

/** Uploads a list, without retries, and tells what became of each key. */
const outcomesOf = <E>(files: UploadList.UploadList<E>, destination: Layer.Layer<Destination.Destination>) =>
  Effect.gen(function*() {
    const uploader = yield* Uploader.Uploader
    const outcomes: Record<string, string> = {}
    yield* uploader.uploadAll(files, {
      onResult: (result: UploadResult.UploadResult) =>
        Effect.sync(() => {
          outcomes[result.file.key] = result._tag === "Failed" ? errorName(result.error) : result._tag
        })
    })
    return outcomes
  }).pipe(
    Effect.provide(
      Layer.provide(Uploader.layer({ strategy: Strategy.unlimited, retry: RetryPolicy.none }), destination)
    )
  )

const forgetful = Simulated.layer()

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

const longAgo = new Date("2001-02-03T04:05:06.789Z")

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
            const exit = source.unsafeBytes?.({ offset: 1, fingerprint }, clock)
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

  describe("what is open", () => {
    it.scopedLive("is closed when a reader stops, fails or is interrupted", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { file: pattern(3 * mib) })
        const { source } = yield* FilesNode.file(path.join(root, "file"))
        const blocks = source.read({ offset: 0 })
        const first = yield* Stream.runHead(blocks)
        assert.strictEqual(first._tag, "Some")
        assert.deepStrictEqual(openFiles(root), [], "stopped")
        yield* Effect.exit(Stream.runForEach(blocks, () => Effect.fail("enough")))
        assert.deepStrictEqual(openFiles(root), [], "failed")
        const reading = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(
          Stream.runForEach(blocks, () => Effect.zipRight(Deferred.succeed(reading, undefined), Effect.never))
        )
        yield* Deferred.await(reading)
        assert.lengthOf(openFiles(root), process.platform === "linux" ? 1 : 0)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(openFiles(root), [], "interrupted")
      }))

    it.scopedLive("is closed when a walk is given up", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [String(i), ""])))
        const opened: Array<string> = []
        yield* patched("opendir", counted((name) => opened.push(named(name))))
        const walk = FilesNode.directory(root)
        yield* Stream.runHead(walk)
        yield* Effect.exit(Stream.runForEach(walk, () => Effect.fail("enough")))
        assert.deepStrictEqual(openFiles(root), [])
        assert.deepStrictEqual(opened, [root, root])
      }))

    for (const call of ["opendir", "open"] as const) {
      it.scopedLive(`is closed when the interruption comes while it is opened: ${call}`, () =>
        Effect.gen(function*() {
          const root = yield* TemporaryDirectory.make
          plant(root, { file: pattern(3 * mib) })
          const { source } = yield* FilesNode.file(path.join(root, "file"))
          const opened = yield* Deferred.make<() => void>()
          yield* patched(call, (real) => (name, options, done) =>
            real(name, options, (...results: Array<unknown>) => {
              Effect.runSync(Deferred.succeed(opened, () => done(...results)))
            }))
          const fiber = yield* Effect.fork(
            Stream.runDrain<unknown, unknown, never>(
              call === "open" ? source.read({ offset: 0 }) : FilesNode.directory(root)
            )
          )
          const answer = yield* Deferred.await(opened)
          const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
          yield* Effect.yieldNow()
          answer()
          assert.isTrue(Exit.isInterrupted(yield* Fiber.join(interruption)))
          assert.deepStrictEqual(openFiles(root), [])
        }))
    }

    it.scopedLive("is bounded for all readers together, and the bound is given back", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        plant(root, { file: pattern(mib) })
        const { source } = yield* FilesNode.file(path.join(root, "file"))
        const readers = (count: number, reached: number) =>
          Effect.gen(function*() {
            const full = yield* Deferred.make<void>()
            let reading = 0
            const fiber = yield* Effect.fork(Effect.forEach(
              Array.from({ length: count }),
              () =>
                Stream.runForEach(source.read({ offset: 0 }), () =>
                  Effect.suspend(() => ++reading === reached ? Deferred.succeed(full, undefined) : Effect.void).pipe(
                    Effect.zipRight(Effect.never)
                  )),
              { concurrency: "unbounded", discard: true }
            ))
            yield* Deferred.await(full)
            return {
              fiber,
              reading: () =>
                reading
            }
          })
        for (let round = 0; round < 2; round++) {
          const { fiber, reading } = yield* readers(300, FilesNode.maxOpenFiles)
          assert.lengthOf(openFiles(root), process.platform === "linux" ? FilesNode.maxOpenFiles : 0)
          const waiting = yield* Effect.fork(source.bytes({ offset: 0 }))
          yield* Effect.yieldNow()
          assert.strictEqual(reading(), FilesNode.maxOpenFiles)
          yield* Fiber.interrupt(fiber)
          assert.lengthOf(yield* Fiber.join(waiting), mib)
          assert.deepStrictEqual(openFiles(root), [])
        }
      }))
  })

  describe("a tree of 20,000 files", () => {
    const tree = Effect.tap(TemporaryDirectory.make, (root) =>
      Effect.sync(() => {
        plant(root, { seed: "x" })
        // Links to one file: names are cheaper than files.
        for (let directory = 0; directory < 40; directory++) {
          fs.mkdirSync(path.join(root, `d${directory}`))
          for (let i = 0; i < 500; i++) fs.linkSync(path.join(root, "seed"), path.join(root, `d${directory}`, `f${i}`))
        }
        fs.rmSync(path.join(root, "seed"))
      }))

    const collectGarbage = (() => {
      setFlagsFromString("--expose-gc")
      return runInNewContext("gc") as () => void
    })()

    it.scopedLive("is walked as it is read, and held nowhere", () =>
      Effect.gen(function*() {
        const root = yield* tree
        let opened = 0
        let looks = 0
        yield* patched("opendir", counted(() => opened += 1))
        for (const look of ["lstat", "lstatSync"] as const) {
          yield* patched(look, counted((name: string) => looks += named(name).startsWith(`${root}/`) ? 1 : 0))
        }
        yield* Stream.runHead(FilesNode.directory(root))
        assert.strictEqual(opened, 2, "the root and its first directory")
        assert.isAtMost(looks, 40 + 500)

        let files = 0
        const held: Array<number> = []
        yield* Stream.runForEach(FilesNode.directory(root), () =>
          Effect.sync(() => {
            files += 1
            if (files % 5000 > 0) return
            collectGarbage()
            held.push(process.memoryUsage().heapUsed)
          }))
        assert.strictEqual(files, 20_000)
        assert.isBelow(held[3]! - held[0]!, 4 * mib, "bytes that 15,000 files more hold on to")
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
