import type { FileSystem, Path } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it, vi } from "@effect/vitest"
import { Checksum } from "@sluice/core"
import type { Destination, UploadError } from "@sluice/core"
import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
import { Deferred, Effect, Exit, Fiber, Option, Random, Stream } from "effect"
import type { Layer } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { crc32 } from "node:zlib"
import { hostileKeys } from "../../../contract/DestinationContract.js"
import { errorName } from "../../../support/ErrorName.js"
import { openFiles } from "../../../support/OpenFiles.js"
import * as TemporaryDirectory from "../../../support/TemporaryDirectory.js"
import * as TestBody from "../../../support/TestBody.js"
import * as TestFileSystem from "../../../support/TestFileSystem.js"
import { pattern, sameBytes } from "../../../support/TestSource.js"
import * as Tmpfs from "../../../support/Tmpfs.js"

vi.setConfig({ testTimeout: 30_000 })

const mib = 1024 * 1024

const token = "token-0123456789_ABCDEF"

type Local = Destination.Destination["Type"] & {
  readonly multipart: Destination.Multipart
  readonly head: NonNullable<Destination.Destination["Type"]["head"]>
  readonly read: NonNullable<Destination.Destination["Type"]["read"]>
  readonly list: NonNullable<Destination.Destination["Type"]["list"]>
  readonly leftovers: Destination.Leftovers
}

interface Settings extends Partial<LocalDirectory.Options> {
  readonly platform?: Layer.Layer<FileSystem.FileSystem | Path.Path>
}

const at = (root: string, { platform = NodeContext.layer, ...options }: Settings = {}) =>
  Effect.map(Effect.provide(LocalDirectory.make({ root, ...options }), platform), (made) => made as Local)

const fresh = (settings?: Settings) =>
  Effect.gen(function*() {
    const root = yield* TemporaryDirectory.make
    return { root, local: yield* at(root, settings) }
  })

const create = (local: Local, key: string, size: number | undefined) =>
  local.multipart.create({ key, size, token, checksum: undefined })

const part = (key: string, bytes: Uint8Array, number: number, offset: number, options?: TestBody.Options) => ({
  key,
  uploadId: token,
  number,
  offset,
  total: undefined,
  body: TestBody.make(bytes, options)
})

const complete = (local: Local, key: string, sizes: ReadonlyArray<number>, modifiedAt?: number) =>
  local.multipart.complete({
    key,
    uploadId: token,
    parts: sizes.map((size, i) => ({ number: i + 1, size })),
    size: sizes.reduce((a, b) => a + b, 0),
    checksum: undefined,
    modifiedAt
  })

const put = (local: Local, key: string, bytes: Uint8Array) => local.put({ key, body: TestBody.make(bytes) })

const session = (key: string) => ({ key, uploadId: token })

const failure = <A>(effect: Effect.Effect<A, UploadError.UploadError>) => Effect.map(Effect.flip(effect), errorName)

describe("LocalDirectory in parts", () => {
  it.scopedLive("takes parts in any order and at once, the last one short, and makes them the object", () =>
    Effect.gen(function*() {
      const { local, root } = yield* fresh()
      assert.deepStrictEqual(local.multipart.limits, {
        minSize: 1,
        maxSize: Number.MAX_SAFE_INTEGER,
        multiple: 1,
        maxCount: 1_000_000,
        maxObjectSize: Number.MAX_SAFE_INTEGER,
        inOrder: false
      })
      assert.isTrue(local.multipart.ownIds)
      const bytes = pattern(5 * mib + 17)
      const sizes = [mib, mib, mib, mib, mib, 17]
      for (const size of [bytes.length, undefined]) {
        const key = `a/b/${size}`
        fs.mkdirSync(path.join(root, "a/b"), { recursive: true })
        fs.writeFileSync(path.join(root, key), "old")
        assert.strictEqual(yield* create(local, key, size), token)
        const stored = yield* Effect.forEach(
          [6, 2, 5, 1, 4, 3],
          (number) => {
            const offset = (number - 1) * mib
            const block = bytes.subarray(offset, offset + sizes[number - 1]!)
            return local.multipart.uploadPart(part(key, block, number, offset, { inOnePiece: number === 6 }))
          },
          { concurrency: 6 }
        )
        assert.deepStrictEqual(stored.map(({ number, size }) => [number, size]), [
          [6, 17],
          [2, mib],
          [5, mib],
          [1, mib],
          [4, mib],
          [3, mib]
        ])
        assert.strictEqual(fs.readFileSync(path.join(root, key), "utf8"), "old")
        assert.strictEqual(yield* local.multipart.listParts(session(key)), undefined)
        assert.deepStrictEqual(yield* complete(local, key, sizes, 1_234_567_890_123), { size: bytes.length })
        assert.isTrue(sameBytes(fs.readFileSync(path.join(root, key)), bytes))
        assert.deepStrictEqual(
          yield* local.head(key),
          Option.some({ size: bytes.length, modifiedAt: 1_234_567_890_123 })
        )
      }
      assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), [`a/b/${bytes.length}`, "a/b/undefined"])
      assert.deepStrictEqual(openFiles(root), [])
    }))

  it.scopedLive("reports the checksum of the body, accepts a part again, and can start over", () =>
    Effect.gen(function*() {
      const { local, root } = yield* fresh()
      const checksum = { algorithm: "crc32", value: "AAAAAA==" } as const
      yield* create(local, "key", 2000)
      yield* local.multipart.uploadPart(part("key", pattern(1000, 1), 1, 0))
      assert.deepStrictEqual(
        yield* local.multipart.uploadPart(part("key", pattern(1000, 2), 1, 0, { checksum })),
        { number: 1, size: 1000, checksum, etag: `0//${crc32(pattern(1000, 2)).toString(16).padStart(8, "0")}` }
      )
      yield* local.multipart.uploadPart(part("key", pattern(1000, 3), 2, 1000))
      const temporary = path.join(root, `.sluice-${token}.parts`)
      assert.isTrue(sameBytes(fs.readFileSync(temporary).subarray(0, 1000), pattern(1000, 2)))
      yield* create(local, "key", 500)
      assert.isTrue(sameBytes(fs.readFileSync(temporary), new Uint8Array(500)))
    }))

  it.scopedLive("continues in another process", () =>
    Effect.gen(function*() {
      const { local, root } = yield* fresh()
      yield* create(local, "a/key", 2000)
      yield* local.multipart.uploadPart(part("a/key", pattern(1000, 1), 1, 0))
      const other = yield* at(root)
      assert.strictEqual(yield* other.multipart.listParts(session("a/key")), undefined)
      yield* other.multipart.uploadPart(part("a/key", pattern(1000, 2), 2, 1000))
      yield* complete(other, "a/key", [1000, 1000])
      assert.isTrue(
        sameBytes(fs.readFileSync(path.join(root, "a/key")), Buffer.concat([pattern(1000, 1), pattern(1000, 2)]))
      )
    }))

  describe("continues only with unchanged parts", () => {
    const sizes = [1000, 1000, 1000, 500]
    const whole = pattern(3500)

    /** The parts 1, 2 and 4 as another process sees them after `meddle` has changed the file. */
    const afterwards = (meddle: (file: string) => void, algorithm?: "crc32c") =>
      Effect.gen(function*() {
        const { local, root } = yield* fresh()
        yield* create(local, "a/key", whole.length)
        const parts = yield* Effect.forEach([4, 1, 2], (number) => {
          const offset = (number - 1) * 1000
          const bytes = whole.subarray(offset, offset + sizes[number - 1]!)
          const checksum = algorithm === undefined ? undefined : Checksum.of(algorithm, bytes)
          return local.multipart.uploadPart({ ...part("a/key", bytes, number, offset, { checksum }), total: 3500 })
        })
        meddle(path.join(root, `a/.sluice-${token}.parts`))
        const other = yield* at(root)
        const listed = yield* other.multipart.listParts({ ...session("a/key"), parts })
        for (const one of listed ?? []) assert.deepInclude(parts, one)
        // Whatever was told, the object comes out whole.
        const rest = [1, 2, 3, 4].filter((number) => listed?.some((one) => one.number === number) !== true)
        for (const number of rest) {
          const offset = (number - 1) * 1000
          const bytes = whole.subarray(offset, offset + sizes[number - 1]!)
          yield* other.multipart.uploadPart({ ...part("a/key", bytes, number, offset), total: 3500 })
        }
        yield* complete(other, "a/key", sizes)
        assert.isTrue(sameBytes(fs.readFileSync(path.join(root, "a/key")), whole))
        assert.deepStrictEqual(openFiles(root), [])
        return listed?.map(({ number }) => number).sort()
      })

    const cases: Record<string, readonly [meddle: (file: string) => void, kept: ReadonlyArray<number>]> = {
      "untouched": [() => {}, [1, 2, 4]],
      "zeroed": [(file) => fs.writeFileSync(file, new Uint8Array(3500)), []],
      "emptied": [(file) => fs.truncateSync(file, 0), []],
      "cut": [(file) => fs.truncateSync(file, 1999), [1]],
      "cut and grown back": [
        (file) => {
          fs.truncateSync(file, 1500)
          fs.truncateSync(file, 3500)
        },
        [1]
      ],
      "grown": [(file) => fs.appendFileSync(file, "more"), [1, 2, 4]],
      "with one byte changed": [
        (file) => {
          const bytes = fs.readFileSync(file)
          bytes[1999]! ^= 1
          fs.writeFileSync(file, bytes)
        },
        [1, 4]
      ]
    }
    for (const [name, [meddle, kept]] of Object.entries(cases)) {
      it.scopedLive(`in a file that is ${name}`, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* afterwards(meddle), kept)
          assert.deepStrictEqual(yield* afterwards(meddle, "crc32c"), kept)
        }))
    }

    it.scopedLive("with an old journal that does not record them", () =>
      Effect.gen(function*() {
        const { local } = yield* fresh()
        yield* create(local, "key", 2000)
        yield* local.multipart.uploadPart(part("key", pattern(1000), 1, 0))
        for (const etag of [undefined, "", "0//zz", "../../x/0/00000000"]) {
          const parts = [{ number: 1, size: 1000, etag }]
          assert.deepStrictEqual(yield* local.multipart.listParts({ ...session("key"), parts }), [])
        }
      }))
  })

  it.scopedLive("completes nothing incomplete, and nothing twice", () =>
    Effect.gen(function*() {
      const { local, root } = yield* fresh()
      yield* create(local, "key", undefined)
      yield* local.multipart.uploadPart(part("key", pattern(1000), 1, 0))
      assert.strictEqual(yield* failure(complete(local, "key", [1000, 1000])), "IntegrityMismatch Size")
      assert.strictEqual(
        yield* failure(local.multipart.complete({
          ...session("key"),
          parts: [{ number: 1, size: 999 }],
          size: 1000,
          checksum: undefined
        })),
        "IntegrityMismatch Size"
      )
      assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), [`.sluice-${token}.parts`])
      yield* complete(local, "key", [1000])
      assert.strictEqual(yield* failure(complete(local, "key", [1000])), "SessionGone")
      assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), ["key"])
    }))

  it.scopedLive("has gone when it was aborted, and can be aborted when it has gone", () =>
    Effect.gen(function*() {
      const { local, root } = yield* fresh()
      for (const key of ["key", "no/such/directory/key"]) yield* local.multipart.abort(session(key))
      assert.deepStrictEqual(fs.readdirSync(root), [])
      yield* create(local, "a/key", 1000)
      yield* local.multipart.abort(session("a/key"))
      yield* local.multipart.abort(session("a/key"))
      assert.strictEqual(
        yield* failure(local.multipart.uploadPart(part("a/key", pattern(1000), 1, 0))),
        "SessionGone"
      )
      assert.strictEqual(yield* failure(local.multipart.listParts(session("a/key"))), "SessionGone")
      assert.strictEqual(yield* failure(complete(local, "a/key", [1000])), "SessionGone")
      fs.rmSync(path.join(root, "a"), { recursive: true })
      assert.strictEqual(
        yield* failure(local.multipart.uploadPart(part("a/key", pattern(1000), 1, 0))),
        "SessionGone"
      )
      assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), [])
    }))

  it.scopedLive("waits for a write that is under way when it is interrupted, and leaves nothing open", () =>
    Effect.gen(function*() {
      const writing = yield* Deferred.make<void>()
      const mayWrite = yield* Deferred.make<void>()
      const platform = TestFileSystem.layerFile((file) => ({
        writeAll: (block) =>
          Deferred.succeed(writing, undefined).pipe(
            Effect.zipRight(Deferred.await(mayWrite)),
            Effect.zipRight(file.writeAll(block))
          )
      }))
      const { local, root } = yield* fresh({ platform })
      yield* create(local, "key", 3 * mib)
      const fiber = yield* Effect.fork(local.multipart.uploadPart(part("key", pattern(3 * mib), 1, 0)))
      yield* Deferred.await(writing)
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      assert.isTrue(Option.isNone(yield* Fiber.poll(interruption)), "the write goes on")
      // The file, and its directory.
      assert.lengthOf(openFiles(root), process.platform === "linux" ? 2 : 0)
      yield* Deferred.succeed(mayWrite, undefined)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.join(interruption)))
      assert.deepStrictEqual(openFiles(root), [])
      yield* local.multipart.uploadPart(part("key", pattern(3 * mib), 1, 0))
      yield* complete(local, "key", [3 * mib])
      assert.isTrue(sameBytes(fs.readFileSync(path.join(root, "key")), pattern(3 * mib)))
    }))

  it.scopedLive("has few files open at once, whatever is requested, and waits without being watched", () =>
    Effect.gen(function*() {
      const { local, root } = yield* fresh({ maxOpenFiles: 3 })
      yield* create(local, "key", 20 * mib)
      let highest = 0
      const between = Effect.sync(() => highest = Math.max(highest, openFiles(`${root}/`).length))
      const requests = Array.from(
        { length: 10 },
        (_, i) => part("key", pattern(2 * mib, i + 1), i + 1, i * 2 * mib, { between })
      )
      yield* Effect.forEach(requests, (request) => local.multipart.uploadPart(request), { concurrency: "unbounded" })
      assert.deepStrictEqual(requests.map(({ body }) => body.turns()), requests.map(() => 1))
      assert.isAtMost(highest, 3)
      yield* complete(local, "key", requests.map(() => 2 * mib))
      const stored = fs.readFileSync(path.join(root, "key"))
      for (let i = 0; i < 10; i++) {
        assert.isTrue(sameBytes(stored.subarray(i * 2 * mib, (i + 1) * 2 * mib), pattern(2 * mib, i + 1)), `${i}`)
      }
    }))

  it.scopedLive("forces parts, the file and its directory to the disk if asked", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const steps: Array<string> = []
      const platform = TestFileSystem.layerTelling(root, (step) => steps.push(step))
      const local = yield* at(root, { fsync: true, platform })
      yield* create(local, "key", 1000)
      yield* local.multipart.uploadPart(part("key", pattern(1000), 1, 0))
      yield* complete(local, "key", [1000])
      assert.deepStrictEqual(steps, [
        "sync temporary.parts",
        "sync root",
        "sync temporary.parts",
        "sync temporary.parts",
        "rename temporary.parts to key",
        "sync root"
      ])
    }))

  it.scopedLive("refuses hostile keys and upload ids, and touches nothing", () =>
    Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.make
      const root = path.join(directory, "root")
      const local = yield* at(root)
      const verbs = (key: string, uploadId: string) => [
        Effect.asVoid(local.multipart.create({ key, size: 1, token: uploadId, checksum: undefined })),
        Effect.asVoid(local.multipart.uploadPart({ ...part(key, pattern(1), 1, 0), uploadId })),
        Effect.asVoid(local.multipart.listParts({ key, uploadId })),
        Effect.asVoid(
          local.multipart.complete({
            key,
            uploadId,
            parts: [{ number: 1, size: 1 }],
            size: 1,
            checksum: undefined
          })
        ),
        local.multipart.abort({ key, uploadId })
      ]
      for (const key of hostileKeys) {
        for (const verb of verbs(key, token)) assert.strictEqual(yield* failure(verb), "Rejected InvalidKey", key)
        assert.strictEqual(yield* failure(local.head(key)), "Rejected InvalidKey", key)
        assert.strictEqual(yield* failure(Stream.runDrain(local.read(key))), "Rejected InvalidKey", key)
      }
      const ids = [
        "",
        "short",
        "../../../outside",
        "a/../../bcdefgh",
        "x".repeat(65),
        "12345678\0",
        "with space",
        "été-été-été"
      ]
      for (const uploadId of ids) {
        for (const verb of verbs("key", uploadId)) {
          assert.strictEqual(yield* failure(verb), "Rejected Unsupported", uploadId)
        }
      }
      assert.deepStrictEqual(TemporaryDirectory.filesBelow(directory), [])
    }))

  it.scopedLive("follows no link that was planted", () =>
    Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.make
      const root = path.join(directory, "root")
      fs.mkdirSync(path.join(directory, "outside"))
      fs.writeFileSync(path.join(directory, "precious"), "precious")
      const local = yield* at(root)
      const temporary = path.join(root, `.sluice-${token}.parts`)
      fs.symlinkSync("../precious", temporary)
      for (
        const verb of [
          Effect.asVoid(local.multipart.uploadPart(part("key", pattern(8), 1, 0))),
          Effect.asVoid(local.multipart.listParts(session("key"))),
          Effect.asVoid(complete(local, "key", [8]))
        ]
      ) assert.strictEqual(yield* failure(verb), "SessionGone")
      yield* create(local, "key", 8)
      assert.isTrue(fs.lstatSync(temporary).isFile())
      yield* local.multipart.abort(session("key"))
      fs.symlinkSync("../precious", temporary)
      yield* local.multipart.abort(session("key"))
      assert.deepStrictEqual(fs.readdirSync(root), [])

      fs.symlinkSync("../outside", path.join(root, "out"))
      fs.writeFileSync(path.join(directory, "outside", `.sluice-${token}.parts`), "12345678")
      for (
        const verb of [
          Effect.asVoid(create(local, "out/key", 8)),
          Effect.asVoid(local.multipart.uploadPart(part("out/key", pattern(8), 1, 0))),
          Effect.asVoid(complete(local, "out/key", [8])),
          local.multipart.abort(session("out/key")),
          Effect.asVoid(local.head("out/key"))
        ]
      ) assert.strictEqual(yield* failure(verb), "Rejected InvalidKey")
      assert.deepStrictEqual(fs.readdirSync(path.join(directory, "outside")), [`.sluice-${token}.parts`])
      assert.strictEqual(fs.readFileSync(path.join(directory, "precious"), "utf8"), "precious")
    }))

  it.scopedLive("does not write to a link that comes while the part is opened", () =>
    Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.make
      const root = path.join(directory, "root")
      fs.writeFileSync(path.join(directory, "precious"), "precious")
      const platform = TestFileSystem.layer((real) => ({
        open: (file, options) =>
          Effect.suspend(() => {
            if (options?.flag === "r+") {
              fs.rmSync(file)
              fs.symlinkSync("../precious", file)
            }
            return real.open(file, options)
          })
      }))
      const local = yield* at(root, { platform })
      yield* create(local, "key", 8)
      assert.strictEqual(yield* failure(local.multipart.uploadPart(part("key", pattern(8), 1, 0))), "SessionGone")
      assert.strictEqual(fs.readFileSync(path.join(directory, "precious"), "utf8"), "precious")
      assert.deepStrictEqual(openFiles(root), [])
    }))

  for (
    const [call, code, expected] of [
      ["truncate", "ENOSPC", "Rejected NoSpace"],
      ["truncate", "EFBIG", "Rejected TooLarge"],
      ["sync", "EIO", "Transient Unavailable"]
    ] as const
  ) {
    it.scopedLive(`leaves nothing of a create that fails: ${call} with ${code}`, () =>
      Effect.gen(function*() {
        const failing = Effect.fail(TestFileSystem.systemError(code))
        const platform = TestFileSystem.layerFile(() =>
          call === "sync" ? { sync: failing } : { truncate: () => failing }
        )
        const { local, root } = yield* fresh({ platform, fsync: true })
        assert.strictEqual(yield* failure(create(local, "key", 1000)), expected)
        assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), [])
        assert.deepStrictEqual(openFiles(root), [])
      }))
  }

  it.scopedLive.skipIf(!Tmpfs.mayMount)(
    "on a full disk says so, and can be aborted (needs the right to mount)",
    () =>
      Effect.gen(function*() {
        const disk = yield* Tmpfs.mounted("size=2m")
        const local = yield* at(disk)
        yield* put(local, "first", pattern(mib))
        yield* create(local, "key", 8 * mib)
        assert.strictEqual(
          yield* failure(local.multipart.uploadPart(part("key", pattern(4 * mib), 1, 0))),
          "Rejected NoSpace"
        )
        yield* local.multipart.abort(session("key"))
        yield* put(local, "second", pattern(mib / 2))
        assert.deepStrictEqual(TemporaryDirectory.filesBelow(disk), ["first", "second"])
      })
  )
})

describe("LocalDirectory looked at", () => {
  it.scopedLive("finds the object under a key, and reads it", () =>
    Effect.gen(function*() {
      const { local, root } = yield* fresh()
      const bytes = pattern(mib + 3)
      yield* put(local, "a/key", bytes)
      yield* put(local, "empty", new Uint8Array(0))
      fs.symlinkSync("key", path.join(root, "a/link"))
      for (const key of ["none", "a", "a/link", "a/key/below", "none/below"]) {
        assert.deepStrictEqual(yield* local.head(key), Option.none(), key)
        assert.strictEqual(yield* failure(Stream.runDrain(local.read(key))), "Rejected NotFound", key)
      }
      assert.strictEqual(Option.getOrThrow(yield* local.head("a/key")).size, bytes.length)
      assert.isTrue(sameBytes(yield* TestBody.collect(local.read("a/key")), bytes))
      assert.isTrue(sameBytes(yield* TestBody.collect(local.read("empty")), new Uint8Array(0)))
      assert.isTrue(
        sameBytes(yield* TestBody.collect(Stream.take(local.read("a/key"), 1)), bytes.subarray(0, 256 * 1024))
      )
      assert.deepStrictEqual(openFiles(root), [])
    }))

  it.scopedLive("lists all objects, but neither temporary files nor targets of links", () =>
    Effect.gen(function*() {
      const { local, root } = yield* fresh()
      const keys = Array.from({ length: 600 }, (_, i) => `many/${i}`)
      const odd = ["a", "a.b/c", "deep/er/est/x", ".sluice-00000000.part", ".sluice-short.parts", "é/日本"]
      for (const key of [...keys, ...odd]) yield* put(local, key, pattern(key.length))
      yield* create(local, "deep/unfinished", 10)
      fs.writeFileSync(path.join(root, `deep/.sluice-${local.leftovers.owner}-7.part`), "x")
      fs.symlinkSync("..", path.join(root, "deep/up"))
      fs.symlinkSync("a", path.join(root, "link"))
      fs.symlinkSync("nowhere", path.join(root, "dangling"))
      const listed = Array.from(yield* Stream.runCollect(local.list))
      assert.deepStrictEqual(listed.map(({ key }) => key).sort(), [...keys, ...odd].sort())
      for (const { key, modifiedAt, size } of listed) {
        assert.strictEqual(size, key.length)
        assert.strictEqual(modifiedAt, Math.round(fs.statSync(path.join(root, key)).mtimeMs))
      }
      assert.lengthOf(Array.from(yield* Stream.runCollect(Stream.take(local.list, 2))), 2)
    }))

  it.scopedLive("sweeps what one earlier process has left behind, and nothing else", () =>
    Effect.gen(function*() {
      const { local, root } = yield* fresh()
      const earlier = "0123456789abcdef0123456789abcdef"
      const another = "f123456789abcdef0123456789abcdef"
      const keep = [
        `a/.sluice-${another}-1.part`,
        `.sluice-${local.leftovers.owner}-1.part`,
        `.sluice-${earlier}-1.parts`,
        `.sluice-${earlier}.part`,
        `.sluice-${earlier}-x.part`,
        `x.sluice-${earlier}-1.part`,
        `.sluice-${earlier}-1.part.txt`,
        ".sluice-00000000.part",
        "key"
      ]
      const gone = [`.sluice-${earlier}-1.part`, `a/b/.sluice-${earlier}-23.part`]
      fs.mkdirSync(path.join(root, "a/b"), { recursive: true })
      for (const file of [...keep, ...gone]) fs.writeFileSync(path.join(root, file), "x")
      for (const hostile of ["", ".*", "[0-9a-f]{32}", `${earlier}-1`, "../x", local.leftovers.owner]) {
        assert.strictEqual(yield* local.leftovers.sweep(hostile), 0, hostile)
      }
      assert.lengthOf(TemporaryDirectory.filesBelow(root), keep.length + gone.length)
      assert.strictEqual(yield* local.leftovers.sweep(earlier), 2)
      assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), [...keep].sort())
    }))

  it.scopedLive("draws an owner for each, and finds leftovers of another's interrupted put", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      // A process that was killed removes nothing.
      const stuck = TestFileSystem.layer((real) => ({
        rename: () => Effect.fail(TestFileSystem.systemError("EIO")),
        remove: (file, options) => file.endsWith(".part") ? Effect.void : real.remove(file, options)
      }))
      const killed = yield* Effect.withRandom(at(root, { platform: stuck }), Random.make("killed"))
      const next = yield* Effect.withRandom(at(root), Random.make("next"))
      assert.notStrictEqual(killed.leftovers.owner, next.leftovers.owner)
      for (const key of ["one", "a/two"]) yield* Effect.flip(put(killed, key, pattern(10)))
      assert.lengthOf(TemporaryDirectory.filesBelow(root), 2)
      assert.deepStrictEqual(Array.from(yield* Stream.runCollect(next.list)), [])
      assert.strictEqual(yield* next.leftovers.sweep(killed.leftovers.owner), 2)
      assert.strictEqual(yield* next.leftovers.sweep(killed.leftovers.owner), 0)
      assert.deepStrictEqual(TemporaryDirectory.filesBelow(root), [])
    }))
})
