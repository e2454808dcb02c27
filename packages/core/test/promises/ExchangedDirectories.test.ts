import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ByteSource, Destination, RetryPolicy, Strategy, Uploader, UploadFile, UploadList } from "@sluice/core"
import type { UploadResult } from "@sluice/core"
import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
import * as FilesNode from "@sluice/core/FilesNode"
import * as AtOnce from "@sluice/core/unstable/AtOnce"
import { Chunk, Effect, Layer, Stream } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { openFiles } from "../support/OpenFiles.js"
import { patched } from "../support/PatchedFs.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"
import * as TestBody from "../support/TestBody.js"
import * as TestFileSystem from "../support/TestFileSystem.js"

const plant = (root: string, files: ReadonlyArray<string>, content: string): void => {
  for (const name of files) {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
    fs.writeFileSync(path.join(root, name), content)
  }
}

const names = ["a/b/one", "a/b/two", "a/three", "four"]

/** A tree to upload, and one outside of it, with the same names and with secrets. */
const trees = Effect.map(TemporaryDirectory.make, (directory) => {
  const root = path.join(directory, "root")
  const outside = path.join(directory, "outside")
  plant(root, names, "public")
  plant(outside, [...names, "a/b/more", "a/more", "b/one", "b/more"], "secret")
  return { directory, root, outside }
})

/** Puts a link in the place of a directory. */
const exchange = (directory: string, target: string): void => {
  if (fs.lstatSync(directory).isSymbolicLink()) return
  fs.renameSync(directory, `${directory}-moved`)
  fs.symlinkSync(target, directory)
}

/** Uploads a list into memory: what is stored, and what failed. */
const uploadTo = (
  files: UploadList.UploadList<unknown>,
  options: { readonly onSourceChange?: "fail" | "retry" } = {}
) =>
  Effect.gen(function*() {
    const stored: Record<string, string> = {}
    const outcomes: Record<string, string> = {}
    const shelf = Layer.succeed(Destination.Destination, {
      name: "shelf",
      capabilities: { maxPutSize: Infinity, unknownSize: true },
      put: ({ body, key }) =>
        Effect.map(TestBody.collect(body.stream()), (bytes) => {
          stored[key] = Buffer.from(bytes).toString()
          return {}
        })
    })
    const uploader = Uploader.layer({
      strategy: Strategy.workerPool({ workers: 2 }),
      retry: RetryPolicy.make({ attempts: 3, base: 1, secondRound: false })
    }).pipe(Layer.provide(shelf))
    yield* Effect.exit(
      Uploader.Uploader.pipe(
        Effect.flatMap((uploader) =>
          uploader.uploadAll(files, {
            ...options,
            onResult: (result: UploadResult.UploadResult) =>
              Effect.sync(() => {
                outcomes[result.file.key] = result._tag
              })
          })
        ),
        Effect.provide(uploader)
      )
    )
    return { stored, outcomes }
  })

describe("a directory that is exchanged for a link", () => {
  describe("in a source", () => {
    for (const followSymlinks of [false, true]) {
      const links = followSymlinks ? "with links followed" : "with links skipped"

      for (const [name, at] of [["itself", "a/b"], ["one that it is in", "a"], ["the root", ""]] as const) {
        it.scopedLive(`when it has been seen and not read yet, gives nothing from outside: ${name}, ${links}`, () =>
          Effect.gen(function*() {
            const { outside, root } = yield* trees
            const items = FilesNode.directory(root, {
              followSymlinks,
              filter: (key, kind) => {
                if (kind === "directory" && key === "a/b") exchange(path.join(root, at), path.join(outside, at))
                return true
              }
            })
            const { stored } = yield* uploadTo(items)
            assert.deepStrictEqual(Object.values(stored).filter((content) => content !== "public"), [])
            assert.deepStrictEqual(openFiles(root), [])
          }))
      }

      it.scopedLive(`between the list and the read, gives nothing from outside, however often it is tried: ${links}`, () =>
        Effect.gen(function*() {
          for (const at of ["a/b", "a", ""]) {
            const { outside, root } = yield* trees
            const listed = yield* Stream.runCollect(FilesNode.directory(root, { followSymlinks }))
            exchange(path.join(root, at), path.join(outside, at))
            const { stored } = yield* uploadTo(Chunk.toArray(listed), { onSourceChange: "retry" })
            assert.deepStrictEqual(Object.values(stored).filter((content) => content !== "public"), [], at)
          }
        }))

      it.scopedLive(`is not looked through by who reads without a fingerprint, or asks for one: ${links}`, () =>
        Effect.gen(function*() {
          const { outside, root } = yield* trees
          const files = Chunk.toArray(yield* Stream.runCollect(FilesNode.directory(root, { followSymlinks })))
            .filter(UploadList.isFile)
          const one = files.find(({ key }) => key === "a/b/one")?.source ?? assert.fail("not listed")
          assert.strictEqual(yield* one.fingerprint!, files.find(({ key }) => key === "a/b/one")?.fingerprint)
          exchange(path.join(root, "a"), path.join(outside, "a"))
          for (
            const look of [
              Effect.asVoid(one.fingerprint!),
              Effect.asVoid(one.latest!),
              Effect.asVoid(one.bytes({ offset: 0 })),
              Stream.runDrain(one.read({ offset: 0 }))
            ]
          ) assert.strictEqual((yield* Effect.flip(look))._tag, "SourceUnreadable")
          yield* Effect.clockWith((clock) =>
            Effect.sync(() => assert.isUndefined(AtOnce.ofSource(one, { offset: 0 }, clock)))
          )
          assert.deepStrictEqual(openFiles(root), [])
        }))
    }

    it.scopedLive("after it was opened, is read as it was", () =>
      Effect.gen(function*() {
        const { outside, root } = yield* trees
        yield* patched("opendir", (real) => (name, options, done) =>
          real(name, options, (error: unknown, handle: unknown) => {
            if (TestFileSystem.named(name).endsWith("/a")) {
              exchange(path.join(root, "a"), path.join(outside, "a"))
            }
            done(error, handle)
          }))
        const { stored } = yield* uploadTo(FilesNode.directory(root))
        assert.deepStrictEqual(
          Object.values(stored).filter((content) =>
            content !== "public"
          ),
          []
        )
      }))

    it.scopedLive("a link that is followed and leads elsewhere by then, gives nothing from outside", () =>
      Effect.gen(function*() {
        const { outside, root } = yield* trees
        fs.symlinkSync("a", path.join(root, "link"))
        const listed = yield* Stream.runCollect(FilesNode.directory(root, { followSymlinks: true }))
        assert.include(Chunk.toArray(listed).flatMap((item) => UploadList.isFile(item) ? [item.key] : []), "link/b/one")
        fs.rmSync(path.join(root, "link"))
        fs.symlinkSync(path.join(outside, "a"), path.join(root, "link"))
        const { stored } = yield* uploadTo(Chunk.toArray(listed), { onSourceChange: "retry" })
        assert.deepStrictEqual(Object.values(stored).filter((content) => content !== "public"), [])
      }))
  })

  describe("in a destination", () => {
    const file = (key: string) => UploadFile.fromText(key, "new")

    /** A destination into `root`, and what is outside of it. */
    const into = (platform = NodeContext.layer as ReturnType<typeof TestFileSystem.layer>) =>
      Effect.gen(function*() {
        const directory = yield* TemporaryDirectory.make
        const root = path.join(directory, "root")
        const outside = path.join(directory, "outside")
        fs.mkdirSync(path.join(outside, "b"), { recursive: true })
        fs.mkdirSync(root)
        const context = yield* Layer.build(
          Uploader.layer({ retry: RetryPolicy.none, multipartThreshold: 1, partSize: 1024 }).pipe(
            Layer.provideMerge(LocalDirectory.layer({ root })),
            Layer.provide(platform)
          )
        )
        const uploader = context.unsafeMap.get(Uploader.Uploader.key) as Uploader.Uploader["Type"]
        const local = context.unsafeMap.get(Destination.Destination.key) as Destination.Destination["Type"]
        return { root, outside, uploader, local }
      })

    /** Where directories are reached by name only. */
    const byName = TestFileSystem.layer((real) => ({
      readLink: (file) => file.startsWith("/proc/self/fd/") ? real.readLink("/nowhere") : real.readLink(file)
    }))

    for (const [how, platform] of [["by descriptor", undefined], ["by name", byName]] as const) {
      it.scopedLive(`after files were stored in it, is not written through: ${how}`, () =>
        Effect.gen(function*() {
          const { local, outside, root, uploader } = yield* into(platform)
          const large = (key: string) => UploadFile.make(key, ByteSource.generate(5000))
          for (const key of ["a/b/first", "a/first"]) yield* uploader.upload(file(key))
          yield* uploader.upload(large("a/b/large"))
          exchange(path.join(root, "a"), outside)
          for (const one of [file("a/b/second"), file("a/second"), file("a/c/d/third"), large("a/b/other")]) {
            const error = yield* Effect.flip(uploader.upload(one))
            assert.strictEqual(error._tag === "Rejected" && error.reason, "InvalidKey", one.key)
          }
          fs.writeFileSync(path.join(outside, "kept"), "kept")
          assert.strictEqual((yield* Effect.flip(local.remove!("a/kept")))._tag, "Rejected")
          assert.strictEqual((yield* Effect.flip(local.head!("a/kept")))._tag, "Rejected")
          assert.deepStrictEqual(TemporaryDirectory.filesBelow(outside), ["kept"])
          assert.deepStrictEqual(openFiles(root), [])
        }))

      it.scopedLive(`while a file is written in it, leads it nowhere else: ${how}`, () =>
        Effect.gen(function*() {
          const { outside, root, uploader } = yield* into(platform)
          fs.mkdirSync(path.join(root, "a/b"), { recursive: true })
          let done = false
          const blocks = Stream.make(Buffer.from("first "), Buffer.from("second")).pipe(
            Stream.tap(() =>
              Effect.sync(() => {
                if (!done) exchange(path.join(root, "a"), outside)
                done = true
              })
            )
          )
          yield* Effect.exit(uploader.upload(UploadFile.make("a/b/key", ByteSource.fromStream(blocks))))
          assert.isTrue(done)
          assert.deepStrictEqual(TemporaryDirectory.filesBelow(outside), [])
          assert.deepStrictEqual(openFiles(root), [])
        }))
    }

    it.scopedLive.skipIf(process.platform !== "linux")(
      "gives a planted link no permissions of ours",
      () =>
        Effect.gen(function*() {
          const victim = path.join(yield* TemporaryDirectory.make, "victim")
          fs.writeFileSync(victim, "victim", { mode: 0o600 })
          fs.utimesSync(victim, 1, 1)
          const platform = TestFileSystem.layer((real) => ({
            open: (name, options) =>
              Effect.tap(real.open(name, options), () => {
                if (options?.flag !== "wx") return
                fs.rmSync(name)
                fs.symlinkSync(victim, name)
              })
          }))
          const { uploader } = yield* into(platform)
          yield* Effect.exit(uploader.upload({ ...file("key"), mode: 0o666, modifiedAt: 1_000_000 }))
          const { mode, mtimeMs } = fs.statSync(victim)
          assert.deepStrictEqual([mode & 0o777, mtimeMs, fs.readFileSync(victim, "utf8")], [0o600, 1000, "victim"])
        })
    )
  })
})
