import { assert, describe, it } from "@effect/vitest"
import { Destination, RetryPolicy, Uploader, UploadList } from "@sluice/core"
import type { UploadFile, UploadResult } from "@sluice/core"
import * as FilesNode from "@sluice/core/FilesNode"
import { Chunk, Effect, Layer, Stream } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { patched } from "../../support/PatchedFs.js"
import * as TemporaryDirectory from "../../support/TemporaryDirectory.js"
import * as TestBody from "../../support/TestBody.js"

/** Uploads files into memory: what is stored, and what became of each. */
const stored = (files: ReadonlyArray<UploadFile.UploadFile>) =>
  Effect.gen(function*() {
    const shelf: Record<string, string> = {}
    const outcomes: Record<string, string> = {}
    const destination = Layer.succeed(Destination.Destination, {
      name: "shelf",
      capabilities: { maxPutSize: Infinity, unknownSize: true },
      put: ({ body, key }) =>
        Effect.map(body.inOnePiece ? body.bytes : TestBody.collect(body.stream()), (bytes) => {
          shelf[key] = Buffer.from(bytes).toString()
          return {}
        })
    })
    const uploader = Layer.provide(Uploader.layer({ retry: RetryPolicy.none }), destination)
    yield* Uploader.Uploader.pipe(
      Effect.flatMap((uploader) =>
        uploader.uploadAll(files, {
          onResult: (result: UploadResult.UploadResult) =>
            Effect.sync(() => {
              const error = result._tag === "Failed" ? result.error : undefined
              outcomes[result.file.key] = error !== undefined && "reason" in error
                ? `${error._tag} ${error.reason}`
                : result._tag
            })
        })
      ),
      Effect.provide(uploader)
    )
    return { shelf, outcomes }
  })

describe("files whose content is generated when they are read", () => {
  // Each of them says that it has 0 bytes, or 4,096, and has another number of them.
  const steady = ["/proc/version", "/proc/filesystems", "/proc/sys/kernel/ostype", "/sys/kernel/mm/ksm/run"]
    .filter((file) => fs.existsSync(file))

  it.live.skipIf(process.platform !== "linux" || steady.length === 0)(
    "go up whole, and of no size beforehand",
    () =>
      Effect.gen(function*() {
        const files = yield* Effect.forEach(steady, (file) => FilesNode.file(file, { key: file.slice(1) }))
        assert.deepStrictEqual(files.map(({ size }) => size), steady.map(() => undefined))
        const { outcomes, shelf } = yield* stored(files)
        assert.deepStrictEqual(
          shelf,
          Object.fromEntries(steady.map((file) => [file.slice(1), fs.readFileSync(file, "utf8")]))
        )
        assert.deepStrictEqual(outcomes, Object.fromEntries(steady.map((file) => [file.slice(1), "Uploaded"])))
        for (const { source } of files) {
          const bytes = yield* source.bytes({ offset: 0 })
          assert.isAbove(bytes.length, 0)
          assert.strictEqual((yield* source.bytes({ offset: 0, length: 1 })).length, 1)
          assert.deepStrictEqual(yield* TestBody.collect(source.read({ offset: 0 }).pipe(Stream.orDie)), bytes)
        }
      })
  )

  it.live.skipIf(process.platform !== "linux")("go up whole from a directory too", () =>
    Effect.gen(function*() {
      const wanted = ["ostype", "osrelease", "random/boot_id"]
      const items = yield* Stream.runCollect(FilesNode.directory("/proc/sys/kernel", {
        filter: (key, kind) => kind === "directory" ? key === "random" : wanted.includes(key)
      }))
      const { shelf } = yield* stored(Chunk.toArray(items).filter(UploadList.isFile))
      assert.deepStrictEqual(
        shelf,
        Object.fromEntries(wanted.map((key) => [key, fs.readFileSync(`/proc/sys/kernel/${key}`, "utf8")]))
      )
    }))

  it.scopedLive("and claim to be empty fail as grown", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      for (const name of ["says nothing", "is empty", "is not"]) {
        fs.writeFileSync(path.join(root, name), name === "is empty" ? "" : "content")
      }
      const { ino } = fs.statSync(path.join(root, "says nothing"))
      const claim = (stat: fs.BigIntStats | fs.Stats) =>
        Number(stat.ino) === ino ? Object.assign(stat, { size: 0n }) : stat
      for (const call of ["stat", "lstat", "fstat"] as const) {
        yield* patched(call as "stat", (real) => (name, options, done) =>
          real(name, options, (error: unknown, stat: fs.BigIntStats) =>
            done(error, error === null ? claim(stat) : stat)))
      }
      for (const call of ["lstatSync", "fstatSync"] as const) {
        yield* patched(call as "lstatSync", (real) => (...args) =>
          claim(real(...args)))
      }
      const items = Chunk.toArray(yield* Stream.runCollect(FilesNode.directory(root))).filter(UploadList.isFile)
      for (let round = 0; round < 2; round++) {
        const { outcomes, shelf } = yield* stored(items)
        assert.deepStrictEqual(outcomes, {
          "is empty": "Uploaded",
          "is not": "Uploaded",
          "says nothing": "SourceChanged Grew"
        })
        assert.deepStrictEqual(shelf, { "is empty": "", "is not": "content" })
      }
    }))
})
