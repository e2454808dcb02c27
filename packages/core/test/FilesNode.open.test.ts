import { assert, describe, it, vi } from "@effect/vitest"
import * as FilesNode from "@sluice/core/FilesNode"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { openFiles } from "./support/OpenFiles.js"
import { counted, patched } from "./support/PatchedFs.js"
import { plant } from "./support/PlantedFiles.js"
import * as TemporaryDirectory from "./support/TemporaryDirectory.js"
import { named } from "./support/TestFileSystem.js"
import { pattern } from "./support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const kib = 1024
const mib = 1024 * kib

describe("FilesNode", () => {
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
})
