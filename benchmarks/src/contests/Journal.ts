/**
 * `journal`: what it costs to record each finished file.
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as ByteSource from "@sluice/core/ByteSource"
import type * as Destination from "@sluice/core/Destination"
import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
import * as JournalNode from "@sluice/core/JournalNode"
import * as Strategy from "@sluice/core/Strategy"
import * as Uploader from "@sluice/core/Uploader"
import * as UploadFile from "@sluice/core/UploadFile"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as assert from "node:assert"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Contest from "../Contest.js"
import * as Discard from "../Discard.js"
import * as Sparse from "../Sparse.js"

const fileSize = 4 * 1024

/** Files have a fingerprint, because the journal does not record files without one. */
const inMemory = UploadFile.make("file", {
  ...ByteSource.fromBytes(new Uint8Array(fileSize)),
  fingerprint: Effect.succeed("always the same")
})

const nowhere = Discard.layer({ wholeBodies: false, reads: false, holdMillis: 0 })

const directory = Effect.map(
  Sparse.directory({ inMemory: true }),
  (root): Layer.Layer<Destination.Destination> =>
    Layer.orDie(Layer.provide(LocalDirectory.layer({ root }), NodeContext.layer))
)

/** A journal that must be small when everything is done. */
const smallJournal = Effect.map(
  Effect.acquireRelease(
    Effect.map(Sparse.directory(), (made) => path.join(made, "journal of a bench")),
    (made) => Effect.sync(() => assert.ok(fs.statSync(path.join(made, "journal")).size < 4096))
  ),
  (made) => Layer.orDie(JournalNode.layerDirectory({ directory: made, destination: "bench" }))
)

const upload =
  (options: { readonly toDirectory: boolean; readonly journal: boolean }) => (count: number): Effect.Effect<void> =>
    Effect.gen(function*() {
      const file = options.toDirectory ? yield* Sparse.file(fileSize) : inMemory
      const destination = options.toDirectory ? yield* directory : nowhere
      const journal = options.journal ? yield* smallJournal : Layer.empty
      const report = yield* Effect.flatMap(
        Uploader.Uploader,
        (uploader) => uploader.uploadAll(Sparse.repeated(file, count))
      ).pipe(
        Effect.provide(
          Uploader.layer({ strategy: Strategy.workerPool({ workers: 16 }) }).pipe(
            Layer.provide(destination),
            Layer.provide(journal)
          )
        )
      )
      assert.strictEqual(report.files.uploaded, count)
    }).pipe(Effect.scoped)

const files = 10_000

export const contest: Contest.Contest = {
  name: "journal",
  title: "files of 4 KiB with and without a journal, 16 uploads at a time",
  lists: [{ files, rounds: 9 }],
  contestants: [
    { name: "local directory", upload: upload({ toDirectory: true, journal: false }) },
    { name: "local directory, journal", upload: upload({ toDirectory: true, journal: true }) },
    { name: "nowhere", upload: upload({ toDirectory: false, journal: false }) },
    { name: "nowhere, journal", upload: upload({ toDirectory: false, journal: true }) }
  ],
  promises: (of) => {
    const plain = of("local directory", files)
    const journal = of("local directory, journal", files)
    const added = of("nowhere, journal", files).cpuMicros - of("nowhere", files).cpuMicros
    return [
      Contest.atMost("at most 1.10 × the wall time without it", journal.wallMicros / plain.wallMicros, 1.1, "×"),
      Contest.atMost("at most 1.10 × the CPU time without it", journal.cpuMicros / plain.cpuMicros, 1.1, "×"),
      Contest.atMost("at most 20 µs of CPU a file, where an upload costs nothing", added, 20, "µs"),
      { promise: "less than 4 KiB after success", measured: "in every round", kept: true }
    ]
  }
}
