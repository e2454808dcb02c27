import { assert, describe, it } from "@effect/vitest"
import { UploadError, UploadFile } from "@sluice/core"
import type { UploadResult } from "@sluice/core"
import { Chunk, Deferred, Duration, Effect, Fiber, Stream } from "effect"
import * as fs from "node:fs"
import { Locations } from "../../src/sources/Sources.js"
import type { Sources } from "../../src/sources/Sources.js"
import * as Undone from "../../src/upload/Undone.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const files = Array.from({ length: 6 }, (_, i) => UploadFile.fromText(`${i}.txt`, "text"))

const sourcesOf = (items: Sources["items"]): Sources => {
  const locations = new Locations()
  for (const file of files) locations.note(file, `/abs/${file.key}`)
  return { items, locations }
}

const uploaded = (file: UploadFile.UploadFile): UploadResult.Uploaded => ({
  _tag: "Uploaded",
  file,
  attempts: 1,
  bytes: 4,
  duration: Duration.zero,
  etag: undefined,
  resumedBytes: 0,
  checksum: undefined
})

const lines = (file: string) =>
  fs.readFileSync(file, "utf8").trimEnd().split("\n").map((line): unknown => JSON.parse(line))

const header = { _tag: "Manifest", version: 1 }

const error = new UploadError.Transient({ reason: "Connection", detail: "It broke." })

/** Reads the first `count` items of a list, as a run that is stopped does. */
const readOn = (items: Sources["items"], count: number) =>
  Stream.StreamTypeId in items ? Stream.runDrain(Stream.take(items, count)) : Effect.void

/** Nobody has to know what the manifest is written to. */
const nobody = { addOpen: () => Effect.void }

describe("Undone", () => {
  it.scopedLive("records what failed and what was interrupted, during the run", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const undone = yield* Undone.make(`${root}/failed`, sourcesOf(files.slice(0, 3)), nobody)
      const [one, two, three] = files as [UploadFile.UploadFile, UploadFile.UploadFile, UploadFile.UploadFile]
      yield* undone.note(uploaded(one))
      yield* undone.note({ _tag: "Failed", file: two, attempts: 2, error, duration: Duration.zero })
      yield* undone.note({ _tag: "Interrupted", file: three, attempts: 1, duration: Duration.zero })
      assert.isFalse(fs.existsSync(`${root}/failed`))
      assert.deepStrictEqual(yield* undone.finish, { notStarted: 0, listed: true })
      assert.deepStrictEqual(lines(`${root}/failed`), [
        header,
        {
          _tag: "Failed",
          path: "/abs/1.txt",
          key: "1.txt",
          error: { _tag: "Transient", reason: "Connection", message: "It broke." }
        },
        { _tag: "Interrupted", path: "/abs/2.txt", key: "2.txt" }
      ])
      assert.deepStrictEqual(fs.readdirSync(root), ["failed"])
    }))

  it.scopedLive("lists what was found and not started, and what was not found yet", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const list = Stream.rechunk(Stream.fromIterable(files), 2)
      const undone = yield* Undone.make(`${root}/failed`, sourcesOf(list), nobody)
      yield* readOn(undone.items, 3)
      yield* undone.note(uploaded(files[0]!))
      assert.deepStrictEqual(yield* undone.finish, { notStarted: 5, listed: true })
      assert.deepStrictEqual(
        lines(`${root}/failed`),
        [header, ...[1, 2, 3, 4, 5].map((i) => ({ _tag: "NotStarted", path: `/abs/${i}.txt`, key: `${i}.txt` }))]
      )
    }))

  it.scopedLive("loses nothing of a list whose reader was interrupted", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const gate = yield* Deferred.make<void>()
      const asked = yield* Deferred.make<void>()
      const list = Stream.concat(
        Stream.fromEffect(Effect.as(Effect.zip(Deferred.succeed(asked, undefined), Deferred.await(gate)), files[0]!)),
        Stream.fromIterable(files.slice(1))
      )
      const undone = yield* Undone.make(`${root}/failed`, sourcesOf(list), nobody)
      const reader = yield* Effect.fork(readOn(undone.items, 100))
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(reader)
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* undone.finish, { notStarted: 6, listed: true })
    }))

  it.scopedLive("stops listing when told to stop", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const list = Stream.concat(Stream.fromChunk(Chunk.fromIterable(files.slice(0, 2))), Stream.never)
      const undone = yield* Undone.make(`${root}/failed`, sourcesOf(list), nobody)
      yield* readOn(undone.items, 2)
      yield* undone.stop
      assert.deepStrictEqual(yield* undone.finish, { notStarted: 2, listed: false })
      assert.strictEqual(lines(`${root}/failed`).length, 3)
    }))

  it.scopedLive("replaces an older manifest only at its end", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ failed: "old" })
      yield* Effect.scoped(Undone.make(`${root}/failed`, sourcesOf([]), nobody))
      assert.deepStrictEqual(TemporaryDirectory.read(root), { failed: "old" })
      const undone = yield* Undone.make(`${root}/failed`, sourcesOf([]), nobody)
      yield* undone.finish
      assert.deepStrictEqual(TemporaryDirectory.read(root), { failed: `${JSON.stringify(header)}\n` })
    }))

  it.scopedLive("fails at once if it could not be written", () =>
    Effect.gen(function*() {
      const failure = yield* Effect.flip(Undone.make("/nowhere/at/all", sourcesOf([]), nobody))
      assert.strictEqual(failure.exitCode, 2)
      assert.strictEqual(
        failure.message,
        "--failed: \"/nowhere/at/all\" is in a directory that does not exist. Name a file that can be written."
      )
    }))

  it.scopedLive("keeps up with very many failures", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const locations = new Locations()
      const undone = yield* Undone.make(`${root}/failed`, { items: [], locations }, nobody)
      yield* Effect.forEach(Array.from({ length: 20_000 }, (_, i) => i), (i) => {
        const file = locations.note(UploadFile.fromText(`${i}.txt`, ""), `/abs/${i}.txt`)
        return undone.note({ _tag: "Interrupted", file, attempts: 1, duration: Duration.zero })
      }, { concurrency: 8, discard: true })
      yield* undone.finish
      assert.strictEqual(lines(`${root}/failed`).length, 20_001)
    }))
})
