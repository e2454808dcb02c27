/**
 * A journal of your own, here in the tables of a database: the process dies in the middle of a large file, and the next
 * one, perhaps on another machine, sends the rest. Each verb is an effect, and the upload waits for it.
 */
import { ByteSize, ByteSource, Journal, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer } from "effect"
import { runMain } from "./run.js"

/** What is needed of a database. With `@effect/sql`, each of these is one statement. */
interface Table<Row> {
  readonly select: (key: string) => Effect.Effect<Row | undefined, Journal.JournalError>
  readonly selectAll: Effect.Effect<ReadonlyArray<Row>, Journal.JournalError>
  readonly upsert: (key: string, row: Row) => Effect.Effect<void, Journal.JournalError>
  readonly update: (key: string, change: (row: Row) => Row) => Effect.Effect<void, Journal.JournalError>
  readonly remove: (key: string) => Effect.Effect<void, Journal.JournalError>
  readonly truncate: Effect.Effect<void, Journal.JournalError>
}

/** A table in memory whose statements take 5 ms. Those of a real one would fail with `JournalError` if it is away. */
const makeTable = <Row>(): Table<Row> => {
  const rows = new Map<string, Row>()
  const statement = <A>(run: () => A) => Effect.delay(Effect.sync(run), "5 millis")
  return {
    select: (key) => statement(() => rows.get(key)),
    selectAll: statement(() => [...rows.values()]),
    upsert: (key, row) => statement(() => void rows.set(key, row)),
    update: (key, change) =>
      statement(() => {
        const row = rows.get(key)
        if (row !== undefined) rows.set(key, change(row))
      }),
    remove: (key) => statement(() => void rows.delete(key)),
    truncate: statement(() => rows.clear())
  }
}

const JournalLayer = Layer.sync(Journal.Journal, () => {
  const uploads = makeTable<Journal.Session>()
  const finished = makeTable<Journal.Finished>()
  const owners = makeTable<string>()
  return Journal.Journal.of({
    session: uploads.select,
    sessions: uploads.selectAll,
    begin: (intent) => uploads.upsert(intent.key, { ...intent, uploadId: undefined, parts: new Map() }),
    created: (key, uploadId) => uploads.update(key, (row) => ({ ...row, uploadId })),
    // Parts of one file are stored several at a time: this has to be one statement, or a transaction.
    partStored: (key, part) =>
      uploads.update(key, (row) => ({ ...row, parts: new Map(row.parts).set(part.number, part) })),
    // Nothing is left to write: each verb above has committed when it returns.
    flush: Effect.void,
    ended: uploads.remove,
    finished: (file) => finished.upsert(file.key, file),
    wasFinished: (file) => Effect.map(finished.select(file.key), (row) => Journal.noted(row, file)),
    runEnded: finished.truncate,
    owners: owners.selectAll,
    own: (owner) => owners.upsert(owner, owner),
    disown: owners.remove
  })
})

const film = UploadFile.make("films/holiday.mkv", ByteSource.generate(ByteSize.decode("40 MiB")), {
  fingerprint: "version 1"
})

const UploaderLayer = Uploader.layer({ strategy: Strategy.workerPool({ workers: 4 }), partSize: "4 MiB" })

const process = Effect.flatMap(Uploader.Uploader, (uploader) => uploader.uploadAll([film])).pipe(
  Effect.provide(UploaderLayer)
)

export const program = Effect.gen(function*() {
  const journal = yield* Journal.Journal
  yield* Effect.timeoutOption(process, "1500 millis")
  const recorded = (yield* journal.sessions).flatMap(({ key, parts }) => [`${key}: ${parts.size} parts`])
  yield* Console.log(`first process: cut off, with ${recorded.join()} in the database`)
  const { bytes, files } = yield* process
  yield* Console.log(
    `second process: ${files.uploaded} file, ${ByteSize.format(bytes.uploaded)} sent, ` +
      `${ByteSize.format(bytes.resumed)} were there`
  )
  return { left: yield* journal.sessions, aborted: yield* (yield* Simulated.Network).aborted }
}).pipe(
  Effect.provide(
    Layer.merge(
      JournalLayer,
      Simulated.layer({ requestLatency: "50 millis", bytesPerSecond: "4 MiB", observe: true })
    )
  )
)

runMain(import.meta.url, program)
