import type { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import { ByteSource, RetryPolicy, Strategy, Uploader, UploadError, UploadFile } from "@sluice/core"
import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
import * as FilesNode from "@sluice/core/FilesNode"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Random } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { errorName } from "../support/ErrorName.js"
import { openFiles } from "../support/OpenFiles.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"
import * as TestBody from "../support/TestBody.js"
import * as TestFileSystem from "../support/TestFileSystem.js"
import { pattern, sameBytes, scripted } from "../support/TestSource.js"
import * as Tmpfs from "../support/Tmpfs.js"

vi.setConfig({ testTimeout: 30_000 })

const mib = 1024 * 1024

interface Settings extends Partial<LocalDirectory.Options> {
  readonly strategy?: Strategy.Strategy
  readonly retry?: RetryPolicy.RetryPolicy
  readonly platform?: ReturnType<typeof TestFileSystem.layer>
}

/** An uploader into a directory, without retries, on the real file system unless `platform` is another. */
const into = (root: string, settings: Settings = {}) => {
  const { platform = NodeContext.layer, retry = RetryPolicy.none, strategy = Strategy.unlimited, ...options } = settings
  return Effect.map(
    Layer.build(
      Uploader.layer({ strategy, retry, memory: "1 GiB" }).pipe(
        Layer.provide(LocalDirectory.layer({ root, ...options })),
        Layer.provide(platform)
      )
    ),
    (context) => context.unsafeMap.get(Uploader.Uploader.key) as Uploader.Uploader["Type"]
  )
}

const upload = (root: string, file: UploadFile.UploadFile, settings?: Settings) =>
  Effect.scoped(Effect.flatMap(into(root, settings), (uploader) => uploader.upload(file)))

const failure = (root: string, file: UploadFile.UploadFile, settings?: Settings) =>
  Effect.flip(upload(root, file, settings))

const small = UploadFile.fromText("key", "new")
const large = UploadFile.make("key", ByteSource.generate(3 * mib))

describe("LocalDirectory", () => {
  describe("a file", () => {
    it.scopedLive("is written beside its key under a temporary name, and renamed", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const seen: Array<ReadonlyArray<string>> = []
        const look = Effect.sync(() => seen.push(TemporaryDirectory.filesBelow(root)))
        const source = scripted({ size: 2 * mib, steps: [pattern(mib), pattern(1), look, pattern(mib - 1)] })
        yield* upload(root, UploadFile.make("a/b/key", source))
        assert.strictEqual(seen.length, 1)
        assert.match(seen[0]!.join(), /^a\/b\/\.sluice-[0-9a-f]{32}-1\.part$/)
        assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), ["a/b/key"])
      }))

    it.scopedLive("creates its parents, and finds existing ones", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        fs.mkdirSync(path.join(root, "there"))
        const uploader = yield* into(root)
        for (const key of ["x", "there/x", "there/too/x", "new/x", "new/y", "new/deep/er/x"]) {
          yield* uploader.upload(UploadFile.fromText(key, key))
          assert.strictEqual(fs.readFileSync(path.join(root, key), "utf8"), key)
        }
      }))

    it.scopedLive("keeps its modification time to the millisecond", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const uploader = yield* into(root)
        const times = [0, 1, 999, 1000, 1_234_567_890_123, 4_102_444_800_001]
        for (let i = 0; i < 100; i++) times.push(1_700_000_000_000 + i * 7_919_333)
        for (const modifiedAt of times) {
          yield* uploader.upload(UploadFile.fromText("key", "x", { modifiedAt }))
          const { mtimeMs } = fs.statSync(path.join(root, "key"), { bigint: true })
          assert.strictEqual(Number(mtimeMs), modifiedAt)
        }
      }))

    it.scopedLive("of before 1970 does not become one of today", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        yield* upload(root, UploadFile.fromText("key", "x", { modifiedAt: -86_400_000 }))
        assert.strictEqual(fs.statSync(path.join(root, "key")).mtimeMs, -86_400_000)
      }))
  })

  describe("permissions", () => {
    const modeOf = (...names: ReadonlyArray<string>) => fs.statSync(path.join(...names)).mode & 0o7777

    it.scopedLive("of a file are kept, in one piece, in blocks and in parts, and others are left alone", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const from = yield* TemporaryDirectory.make
        const modes = [0o600, 0o400, 0o644, 0o666, 0o755, 0o070, 0o4755, 0o2711, 0o1777]
        for (const size of [0, 10, 3 * mib]) {
          for (const mode of modes) {
            const name = `${mode.toString(8)} ${size}`
            fs.writeFileSync(path.join(from, name), pattern(size))
            fs.chmodSync(path.join(from, name), mode)
          }
        }
        const layer = Uploader.layer({ retry: RetryPolicy.none, multipartThreshold: 2 * mib, partSize: mib }).pipe(
          Layer.provide(LocalDirectory.layer({ root })),
          Layer.provide(NodeContext.layer)
        )
        const report = yield* Effect.provide(
          Effect.flatMap(Uploader.Uploader, (uploader) => uploader.uploadAll(FilesNode.directory(from))),
          layer
        )
        assert.strictEqual(report.files.uploaded, 3 * modes.length)
        for (const name of fs.readdirSync(from)) {
          // What would let a program run as somebody else is not.
          assert.strictEqual(modeOf(root, name), modeOf(from, name) & 0o777, name)
        }
      }))

    it.scopedLive("never exceed the final ones during the upload", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const seen: Array<number> = []
        const look = Effect.sync(() => {
          for (const name of fs.readdirSync(root)) if (name.startsWith(".sluice")) seen.push(modeOf(root, name))
        })
        const source = () =>
          scripted({ size: 2 * mib, steps: [pattern(mib), look, pattern(1), look, pattern(mib - 1)] })
        yield* upload(root, { ...UploadFile.make("put", source()), mode: 0o644 })
        const local = yield* Effect.provide(LocalDirectory.make({ root }), NodeContext.layer)
        const uploadId = yield* local.multipart!.create({
          key: "parts",
          size: 4,
          token: "token-0123456789",
          checksum: undefined,
          mode: 0o640
        })
        yield* look
        const session = { key: "parts", uploadId }
        const body = TestBody.make(pattern(4))
        const part = yield* local.multipart!.uploadPart({ ...session, number: 1, offset: 0, total: 4, body })
        yield* local.multipart!.complete({ ...session, parts: [part], size: 4, checksum: undefined, mode: 0o640 })
        assert.deepStrictEqual([...new Set(seen)], [0o600])
        assert.deepStrictEqual([modeOf(root, "put"), modeOf(root, "parts")], [0o644, 0o640])
      }))

    it.scopedLive("are the system's default for sources without any", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        fs.writeFileSync(path.join(root, "ordinary"), "")
        yield* upload(root, small)
        assert.strictEqual(modeOf(root, "key"), modeOf(root, "ordinary"))
      }))

    it.scopedLive("that a file system cannot keep, fail nothing", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const platform = TestFileSystem.layer(() => ({ chmod: () => Effect.fail(TestFileSystem.systemError("EPERM")) }))
        yield* upload(root, { ...small, mode: 0o644 }, { platform })
        assert.strictEqual(modeOf(root, "key"), 0o600)
      }))
  })

  describe("fsync", () => {
    /** The files flushed to the disk and those renamed, in order, by their names below the root. */
    const history = (root: string, fsync: boolean | undefined, keys: ReadonlyArray<string>) =>
      Effect.gen(function*() {
        const steps: Array<string> = []
        const platform = TestFileSystem.layerTelling(root, (step) => steps.push(step))
        const uploader = yield* into(root, { fsync, platform })
        for (const key of keys) yield* uploader.upload(UploadFile.fromText(key, key))
        return steps
      })

    it.scopedLive("forces the file to the disk before it gets its name, and its directory after", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        assert.deepStrictEqual(yield* history(root, true, ["key", "key"]), [
          "sync temporary.part",
          "rename temporary.part to key",
          "sync root",
          "sync temporary.part",
          "rename temporary.part to key",
          "sync root"
        ])
      }))

    it.scopedLive("forces the names of new directories to the disk too", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        assert.deepStrictEqual(yield* history(root, true, ["a/b/key", "a/b/too"]), [
          "sync root",
          "sync a",
          "sync a/b/temporary.part",
          "rename a/b/temporary.part to a/b/key",
          "sync a/b",
          "sync a/b/temporary.part",
          "rename a/b/temporary.part to a/b/too",
          "sync a/b"
        ])
      }))

    it.scopedLive("is off unless asked for", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        assert.deepStrictEqual(yield* history(root, undefined, ["key"]), ["rename temporary.part to key"])
      }))
  })

  describe("names that are taken", () => {
    it.scopedLive("is a conflict if a directory has the file's name, and the directory stays", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        fs.mkdirSync(path.join(root, "empty"))
        fs.mkdirSync(path.join(root, "full"))
        fs.writeFileSync(path.join(root, "full/x"), "x")
        for (const key of ["empty", "full"]) {
          const error = yield* failure(root, UploadFile.fromText(key, "new"))
          assert.instanceOf(error, UploadError.Conflict)
          assert.include(error.message, path.join(root, key))
        }
        assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), ["full/x"])
        assert.isTrue(fs.statSync(path.join(root, "empty")).isDirectory())
      }))

    it.scopedLive("is a conflict if a file has the name of a parent directory", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        fs.writeFileSync(path.join(root, "file"), "x")
        const uploader = yield* into(root)
        for (const key of ["file/key", "file/deep/er/key", "file/key"]) {
          assert.instanceOf(yield* Effect.flip(uploader.upload(UploadFile.fromText(key, "new"))), UploadError.Conflict)
        }
        assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), ["file"])
      }))

    it.scopedLive("refuses names that are too long", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        for (const key of ["n".repeat(256), `${"d".repeat(256)}/key`, "d/".repeat(2100) + "key"]) {
          const error = yield* failure(root, UploadFile.fromText(key, "new"))
          assert.strictEqual(errorName(error), "Rejected InvalidKey")
        }
        yield* upload(root, UploadFile.fromText("n".repeat(255), "new"))
        assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), ["n".repeat(255)])
      }))

    it.scopedLive("does not touch another process's file under the same temporary name", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        // Two processes with the same seed draw the same names.
        const names: Array<string> = []
        const watched = TestFileSystem.layer((real) => ({
          open: (file, options) => {
            if (options?.flag === "wx") names.push(TestFileSystem.named(file))
            return real.open(file, options)
          }
        }))
        const withSeed = Effect.withRandom(Random.make("seed"))
        yield* withSeed(upload(root, small, { platform: watched }))
        fs.writeFileSync(names[0]!, "another's")
        fs.rmSync(path.join(root, "key"))
        yield* Effect.withRandom(upload(root, small), Random.make("seed"))
        assert.strictEqual(fs.readFileSync(names[0]!, "utf8"), "another's")
        assert.strictEqual(fs.readFileSync(path.join(root, "key"), "utf8"), "new")
      }))
  })

  describe("the root", () => {
    const layerError = (root: string, platform = NodeContext.layer as ReturnType<typeof TestFileSystem.layer>) =>
      Effect.flip(Layer.build(Layer.provide(LocalDirectory.layer({ root }), platform)))

    it.scopedLive("is created if it is missing", () =>
      Effect.gen(function*() {
        const root = path.join(yield* TemporaryDirectory.make, "a/b/c")
        yield* upload(root, small)
        assert.strictEqual(fs.readFileSync(path.join(root, "key"), "utf8"), "new")
      }))

    it.scopedLive("may be a link to a directory", () =>
      Effect.gen(function*() {
        const directory = yield* TemporaryDirectory.make
        fs.mkdirSync(path.join(directory, "real"))
        fs.symlinkSync("real", path.join(directory, "link"))
        yield* upload(path.join(directory, "link"), UploadFile.fromText("a/key", "new"))
        assert.strictEqual(fs.readFileSync(path.join(directory, "real/a/key"), "utf8"), "new")
      }))

    it.scopedLive("fails the layer with Rejected if it cannot be created", () =>
      Effect.gen(function*() {
        const directory = yield* TemporaryDirectory.make
        fs.writeFileSync(path.join(directory, "file"), "x")
        fs.symlinkSync("nowhere", path.join(directory, "dangling"))
        fs.symlinkSync("loop", path.join(directory, "loop"))
        const roots = ["file", "file/below", "file/far/below", "dangling", "loop", "loop/below"].map((name) =>
          path.join(directory, name)
        )
        if (process.platform === "linux") roots.push("/proc/sluice/below")
        for (const root of roots) {
          const error = yield* layerError(root)
          assert.instanceOf(error, UploadError.Rejected, root)
          assert.include(error.message, root)
        }
        assert.deepStrictEqual(TemporaryDirectory.filesBelow(directory), ["dangling", "file", "loop"])
      }))

    it.scopedLive("fails the layer with Rejected if it cannot be written", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        for (const code of ["EACCES", "EPERM", "EROFS"]) {
          const failing = () => Effect.fail(TestFileSystem.systemError(code))
          const accessing = TestFileSystem.layer(() => ({ access: failing }))
          assert.strictEqual(errorName(yield* layerError(root, accessing)), "Rejected Forbidden")
          const making = TestFileSystem.layer(() => ({ makeDirectory: failing }))
          assert.strictEqual(errorName(yield* layerError(path.join(root, "new"), making)), "Rejected Forbidden")
        }
      }))

    it.scopedLive.skipIf(process.getuid?.() === 0)(
      "fails the layer where it is another's (not as root)",
      () =>
        Effect.gen(function*() {
          const root = yield* TemporaryDirectory.make
          yield* Effect.acquireRelease(
            Effect.sync(() => fs.chmodSync(root, 0o500)),
            () => Effect.sync(() => fs.chmodSync(root, 0o700))
          )
          assert.strictEqual(errorName(yield* layerError(root)), "Rejected Forbidden")
          assert.strictEqual(errorName(yield* layerError(path.join(root, "new"))), "Rejected Forbidden")
        })
    )

    it.scopedLive.skipIf(!Tmpfs.mayMount)(
      "fails the layer on a read-only disk (needs the right to mount)",
      () =>
        Effect.gen(function*() {
          const disk = yield* Tmpfs.mounted("ro,size=64k")
          assert.strictEqual(errorName(yield* layerError(disk)), "Rejected Forbidden")
          assert.strictEqual(errorName(yield* layerError(path.join(disk, "below"))), "Rejected Forbidden")
        })
    )

    it.scopedLive("that loses a directory during uploads gets it created again", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const uploader = yield* into(root, { retry: RetryPolicy.make({ attempts: 2, base: 0 }) })
        for (let round = 0; round < 3; round++) {
          yield* uploader.upload(UploadFile.fromText("a/b/key", `round ${round}`))
          assert.strictEqual(fs.readFileSync(path.join(root, "a/b/key"), "utf8"), `round ${round}`)
          fs.rmSync(path.join(root, "a"), { recursive: true })
        }
      }))
  })

  describe("a disk that fails", () => {
    const table: ReadonlyArray<readonly [code: string, expected: string]> = [
      ["ENOSPC", "Rejected NoSpace"],
      ["EDQUOT", "Rejected NoSpace"],
      ["EACCES", "Rejected Forbidden"],
      ["EPERM", "Rejected Forbidden"],
      ["EROFS", "Rejected Forbidden"],
      ["EFBIG", "Rejected TooLarge"],
      ["ENAMETOOLONG", "Rejected InvalidKey"],
      ["EISDIR", "Conflict"],
      ["ENOTDIR", "Conflict"],
      ["EIO", "Transient Unavailable"],
      ["EMFILE", "Transient Unavailable"]
    ]

    const failingAt: ReadonlyArray<
      readonly [call: string, platform: (code: string) => NonNullable<Settings["platform"]>]
    > = [
      [
        "open",
        (code) =>
          TestFileSystem.layer((real) => ({
            open: (file, options) =>
              options?.flag === "wx" ? Effect.fail(TestFileSystem.systemError(code)) : real.open(file, options)
          }))
      ],
      [
        "writeAll",
        (code) => TestFileSystem.layerFile(() => ({ writeAll: () => Effect.fail(TestFileSystem.systemError(code)) }))
      ],
      ["sync", (code) => TestFileSystem.layerFile(() => ({ sync: Effect.fail(TestFileSystem.systemError(code)) }))],
      [
        "utimes",
        (code) => TestFileSystem.layer(() => ({ utimes: () => Effect.fail(TestFileSystem.systemError(code)) }))
      ],
      [
        "rename",
        (code) => TestFileSystem.layer(() => ({ rename: () => Effect.fail(TestFileSystem.systemError(code)) }))
      ]
    ]

    for (const [call, platform] of failingAt) {
      it.scopedLive(`at ${call} is told by its class, and leaves the old object and nothing else`, () =>
        Effect.gen(function*() {
          const root = yield* TemporaryDirectory.make
          fs.writeFileSync(path.join(root, "key"), "old")
          for (const file of [small, large]) {
            for (const [code, expected] of table) {
              // Whoever has no descriptor left to open a file waits for one.
              if (call === "open" && code === "EMFILE") continue
              const dated = { ...file, modifiedAt: 1_000_000 }
              const error = yield* failure(root, dated, { fsync: true, platform: platform(code) })
              assert.strictEqual(errorName(error), expected, `${code} at ${call}`)
              assert.include(error.message, code)
              assert.include(error.message, root)
            }
          }
          assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), ["key"])
          assert.strictEqual(fs.readFileSync(path.join(root, "key"), "utf8"), "old")
          assert.deepStrictEqual(openFiles(root), [])
        }))
    }

    it.scopedLive("in the middle of a file leaves nothing of it", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        let writes = 0
        const platform = TestFileSystem.layerFile((file) => ({
          writeAll: (block) => ++writes === 3 ? Effect.fail(TestFileSystem.systemError("ENOSPC")) : file.writeAll(block)
        }))
        assert.strictEqual(errorName(yield* failure(root, large, { platform })), "Rejected NoSpace")
        assert.strictEqual(writes, 3)
        assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), [])
        assert.deepStrictEqual(openFiles(root), [])
      }))

    it.scopedLive("keeps the reason if the temporary file cannot be removed either", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const platform = TestFileSystem.layer(() => ({
          rename: () => Effect.fail(TestFileSystem.systemError("ENOSPC")),
          remove: () => Effect.fail(TestFileSystem.systemError("EIO"))
        }))
        assert.strictEqual(errorName(yield* failure(root, small, { platform })), "Rejected NoSpace")
      }))

    it.scopedLive.skipIf(!Tmpfs.mayMount)(
      "because it is really full, keeps what was whole (needs the right to mount)",
      () =>
        Effect.gen(function*() {
          const disk = yield* Tmpfs.mounted("size=4m")
          const uploader = yield* into(disk, { strategy: Strategy.workerPool({ workers: 2 }) })
          yield* uploader.upload(UploadFile.fromBytes("first", pattern(2 * mib)))
          const error = yield* Effect.flip(uploader.upload(UploadFile.make("second", ByteSource.generate(8 * mib))))
          assert.strictEqual(errorName(error), "Rejected NoSpace")
          assert.deepStrictEqual(TemporaryDirectory.filesBelow(disk), ["first"])
          // The space of what was given up is there again.
          yield* uploader.upload(UploadFile.fromBytes("third", pattern(mib)))
          assert.isTrue(sameBytes(fs.readFileSync(path.join(disk, "first")), pattern(2 * mib)))
          assert.isTrue(sameBytes(fs.readFileSync(path.join(disk, "third")), pattern(mib)))
        })
    )
  })

  describe("links", () => {
    it.scopedLive("that lead out are refused as directories, and nothing is created behind them", () =>
      Effect.gen(function*() {
        const directory = yield* TemporaryDirectory.make
        const root = path.join(directory, "root")
        fs.mkdirSync(root)
        fs.mkdirSync(path.join(directory, "outside"))
        fs.mkdirSync(path.join(directory, "root-too"))
        fs.symlinkSync("../outside", path.join(root, "relative"))
        fs.symlinkSync(path.join(directory, "outside"), path.join(root, "absolute"))
        fs.symlinkSync("..", path.join(root, "up"))
        fs.symlinkSync("/", path.join(root, "top"))
        fs.symlinkSync("../root-too", path.join(root, "sibling"))
        fs.symlinkSync("relative", path.join(root, "twice"))
        for (const link of ["relative", "absolute", "up", "sibling", "twice"]) {
          for (const key of [`${link}/key`, `${link}/deep/er/key`]) {
            const error = yield* failure(root, UploadFile.fromText(key, "new"))
            assert.strictEqual(errorName(error), "Rejected InvalidKey", key)
          }
        }
        const below = directory.slice(1)
        assert.strictEqual(
          errorName(yield* failure(root, UploadFile.fromText(`top/${below}/outside/key`, "new"))),
          "Rejected InvalidKey"
        )
        assert.deepStrictEqual(fs.readdirSync(path.join(directory, "outside")), [])
        assert.deepStrictEqual(fs.readdirSync(path.join(directory, "root-too")), [])
        assert.deepStrictEqual(fs.readdirSync(directory).sort(), ["outside", "root", "root-too"])
      }))

    it.scopedLive("that stay inside are followed as directories", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        fs.mkdirSync(path.join(root, "real"))
        fs.symlinkSync("real", path.join(root, "link"))
        fs.symlinkSync(".", path.join(root, "self"))
        yield* upload(root, UploadFile.fromText("link/deep/key", "new"))
        yield* upload(root, UploadFile.fromText("self/other", "new"))
        assert.strictEqual(fs.readFileSync(path.join(root, "real/deep/key"), "utf8"), "new")
        assert.strictEqual(fs.readFileSync(path.join(root, "other"), "utf8"), "new")
      }))

    it.scopedLive("at the file's own name are replaced, not followed", () =>
      Effect.gen(function*() {
        const directory = yield* TemporaryDirectory.make
        const root = path.join(directory, "root")
        fs.mkdirSync(root)
        fs.mkdirSync(path.join(directory, "outside"))
        fs.writeFileSync(path.join(directory, "precious"), "precious")
        fs.symlinkSync("../precious", path.join(root, "to-file"))
        fs.symlinkSync("../outside", path.join(root, "to-directory"))
        fs.symlinkSync("nowhere", path.join(root, "dangling"))
        for (const key of ["to-file", "to-directory", "dangling"]) {
          yield* upload(root, UploadFile.fromText(key, "new"))
          assert.isTrue(fs.lstatSync(path.join(root, key)).isFile(), key)
          assert.strictEqual(fs.readFileSync(path.join(root, key), "utf8"), "new")
        }
        assert.strictEqual(fs.readFileSync(path.join(directory, "precious"), "utf8"), "precious")
        assert.deepStrictEqual(fs.readdirSync(path.join(directory, "outside")), [])
      }))
  })

  it.scopedLive("removes an object, and nothing else", () =>
    Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.make
      const root = path.join(directory, "root")
      fs.mkdirSync(path.join(root, "sub"), { recursive: true })
      fs.mkdirSync(path.join(directory, "outside"))
      for (const file of ["root/a", "root/sub/b", "outside/c"]) fs.writeFileSync(path.join(directory, file), "x")
      fs.symlinkSync("a", path.join(root, "link"))
      fs.symlinkSync("../outside", path.join(root, "out"))
      const { remove } = yield* Effect.provide(LocalDirectory.make({ root }), NodeContext.layer)
      assert.isDefined(remove)
      for (const key of ["sub/b", "absent", "no/where", "sub", "link"]) yield* remove?.(key) ?? Effect.void
      for (const key of ["out/c", "../outside/c"]) {
        assert.strictEqual(errorName(yield* Effect.flip(remove?.(key) ?? Effect.void)), "Rejected InvalidKey")
      }
      assert.deepStrictEqual(fs.readdirSync(root).sort(), ["a", "link", "out", "sub"])
      assert.deepStrictEqual(
        [fs.readdirSync(path.join(root, "sub")), fs.readdirSync(path.join(directory, "outside"))],
        [
          [],
          ["c"]
        ]
      )
    }))

  describe("readers", () => {
    it.scopedLive("see only whole versions, and a reader of the old one can continue", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const versions = [pattern(mib + 1, 1), pattern(2 * mib, 2), pattern(700_000, 3)]
        const uploader = yield* into(root)
        yield* uploader.upload(UploadFile.fromBytes("key", versions[0]!))
        const file = path.join(root, "key")
        const old = yield* Effect.acquireRelease(
          Effect.sync(() => fs.openSync(file, "r")),
          (descriptor) => Effect.sync(() => fs.closeSync(descriptor))
        )
        const begun = Buffer.alloc(1000)
        fs.readSync(old, begun)
        const reads: Array<number> = []
        const read = Effect.map(Effect.promise(() => fs.promises.readFile(file)), (bytes) => {
          reads.push(versions.findIndex((version) => sameBytes(bytes, version)))
        })
        const reader = yield* Effect.fork(Effect.forever(read))
        for (let round = 1; round <= 12; round++) {
          yield* uploader.upload(UploadFile.fromBytes("key", versions[round % 3]!))
          yield* read
        }
        yield* Fiber.interrupt(reader)
        assert.isAtLeast(reads.length, 12)
        assert.notInclude(reads, -1)
        assert.isTrue(sameBytes(Buffer.concat([begun, fs.readFileSync(old)]), versions[0]!))
      }))
  })

  describe("open files", () => {
    /** How many files are open at most, while 200 wait for each other as long as they can. */
    const peak = (settings: Settings, limit: number) =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const full = yield* Deferred.make<void>()
        let open = 0
        let highest = 0
        const platform = TestFileSystem.layer((real) => ({
          open: (file, options) =>
            options?.flag === "r" ? real.open(file, options) : Effect.tap(
              Effect.acquireRelease(
                Effect.sync(() => highest = Math.max(highest, ++open)),
                () => Effect.sync(() => open -= 1)
              ),
              () => Effect.yieldNow()
            ).pipe(Effect.zipRight(real.open(file, options)))
        }))
        let written = 0
        const uploader = yield* into(root, { ...settings, platform })
        const wait = Effect.suspend(() =>
          Effect.zipRight(++written === limit ? Deferred.succeed(full, undefined) : Effect.void, Deferred.await(full))
        )
        const report = yield* uploader.uploadAll(Array.from({ length: 200 }, (_, i) =>
          UploadFile.make(
            `${i % 7}/${i}`,
            scripted({ size: undefined, steps: [pattern(10), pattern(10), wait, pattern(10)] })
          )))
        assert.strictEqual(report.files.uploaded, 200)
        assert.strictEqual(open, 0)
        return highest
      })

    it.scopedLive("are bounded apart from uploads", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* peak({}, LocalDirectory.defaults.maxOpenFiles), 128)
        assert.strictEqual(yield* peak({ maxOpenFiles: 5 }, 5), 5)
      }))

    it.scopedLive("are bounded with fsync too", () =>
      Effect.gen(function*() {
        assert.isAtMost(yield* peak({ fsync: true, maxOpenFiles: 5 }, 5), 5)
      }))
  })

  describe("interruption", () => {
    it.scopedLive("waits for a write that is under way, and then leaves nothing", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const writing = yield* Deferred.make<void>()
        const mayWrite = yield* Deferred.make<void>()
        let written = 0
        const platform = TestFileSystem.layerFile((file) => ({
          writeAll: (block) =>
            Deferred.succeed(writing, undefined).pipe(
              Effect.zipRight(Deferred.await(mayWrite)),
              Effect.zipRight(file.writeAll(block)),
              Effect.tap(() => written += block.length)
            )
        }))
        const uploader = yield* into(root, { platform })
        const fiber = yield* Effect.fork(uploader.upload(large))
        yield* Deferred.await(writing)
        const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* Effect.yieldNow()
        assert.isTrue(Option.isNone(yield* Fiber.poll(interruption)), "the write goes on")
        // The file, and its directory.
        assert.lengthOf(openFiles(root), process.platform === "linux" ? 2 : 0)
        yield* Deferred.succeed(mayWrite, undefined)
        assert.isTrue(Exit.isInterrupted(yield* Fiber.join(interruption)))
        assert.isAbove(written, 0)
        assert.isBelow(written, 3 * mib)
        assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), [])
        assert.deepStrictEqual(openFiles(root), [])
      }))

    it.scopedLive("while the file gets its name lets it have it, whole", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        for (const call of ["utimes", "rename"] as const) {
          const reached = yield* Deferred.make<void>()
          const goOn = yield* Deferred.make<void>()
          const waiting = <A, E>(effect: Effect.Effect<A, E>) =>
            Deferred.succeed(reached, undefined).pipe(Effect.zipRight(Deferred.await(goOn)), Effect.zipRight(effect))
          const platform = TestFileSystem.layer((real): Partial<FileSystem.FileSystem> =>
            call === "rename"
              ? { rename: (from, to) => waiting(real.rename(from, to)) }
              : { utimes: (file, atime, mtime) => waiting(real.utimes(file, atime, mtime)) }
          )
          const uploader = yield* into(root, { platform })
          const fiber = yield* Effect.fork(uploader.upload(UploadFile.fromText(call, "whole", { modifiedAt: 1_000 })))
          yield* Deferred.await(reached)
          const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
          yield* Effect.yieldNow()
          yield* Deferred.succeed(goOn, undefined)
          yield* Fiber.join(interruption)
        }
        assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), ["rename", "utimes"])
        for (const file of ["rename", "utimes"]) {
          assert.strictEqual(fs.readFileSync(path.join(root, file), "utf8"), "whole")
          assert.strictEqual(fs.statSync(path.join(root, file)).mtimeMs, 1_000)
        }
        assert.deepStrictEqual(openFiles(root), [])
      }))
  })
})
