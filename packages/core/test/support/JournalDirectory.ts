/**
 * Journals in directories, for the tests of `JournalNode`: how one is opened and planted, and what can be noted in it.
 */
import { Journal } from "@sluice/core"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect, Either, Logger, LogLevel } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { crc32 } from "node:zlib"
import * as TemporaryDirectory from "./TemporaryDirectory.js"

export type Service = Journal.Immediate

export const destination = "https://host/bucket"

export const open = (directory: string, options?: Partial<JournalNode.Options>) =>
  JournalNode.make({ directory, destination, ...options })

/** Opens the journal, does something with it, and closes it. */
export const use = <A, E>(directory: string, f: (journal: Service) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(open(directory), f))

export const fileIn = (directory: string) => path.join(directory, "journal")

/** A directory for a journal that is not there yet. */
export const newDirectory = Effect.map(
  TemporaryDirectory.make,
  (directory) => path.join(directory, "journal of a test")
)

/** A directory in memory where there is one: for what is done a thousand times. */
export const fastDirectory = Effect.acquireRelease(
  Effect.sync(() =>
    fs.mkdtempSync(path.join(fs.existsSync("/dev/shm") ? "/dev/shm" : fs.realpathSync(os.tmpdir()), "sluice-test-"))
  ),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

export const quietly = Logger.withMinimumLogLevel(LogLevel.None)

/** A directory with a journal file of this content. */
export const plant = (directory: string, content: string | Uint8Array) => {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
  fs.writeFileSync(fileIn(directory), content, { mode: 0o600 })
}

export const intentOf = (key: string, more?: Partial<Journal.Intent>): Journal.Intent => ({
  key,
  token: `token of ${key}`,
  size: 20,
  fingerprint: "1:2:20:3",
  partSize: 8,
  checksum: "crc32",
  startedAt: 1_700_000_000_000,
  ...more
})

export const files = ["a", "b", "ü\n\ud83d\ude00"].flatMap((key) =>
  [1, 2].flatMap((size) =>
    ["f", "g"].flatMap((fingerprint) => [undefined, "\"1\"", "\"2\""].map((etag) => ({ key, size, fingerprint, etag })))
  )
)

/** Whether a journal has noted exactly this file, and under its etag if it has one. */
export const wasFinished = (journal: Service, file: Journal.Finished): boolean => {
  const noted = journal.wasFinished(file)
  return noted !== undefined && (file.etag === undefined || noted.isEtag(file.etag))
}

/** What a journal knows, in a form that can be compared: fields that are absent and undefined are the same. */
export const stateOf = (journal: Service) =>
  Effect.gen(function*() {
    return plain({
      sessions: yield* journal.sessions,
      owners: yield* journal.owners,
      finished: files.filter((file) => wasFinished(journal, file))
    })
  })

export const plain = (
  { finished, owners, sessions }: {
    readonly sessions: ReadonlyArray<Journal.Session>
    readonly owners: ReadonlyArray<string>
    readonly finished: unknown
  }
) =>
  JSON.stringify({
    sessions: sessions
      .map(({ checksum, fingerprint, key, partSize, parts, size, startedAt, token, uploadId }) => ({
        key,
        token,
        size,
        fingerprint,
        partSize,
        checksum,
        startedAt,
        uploadId,
        parts: [...parts.values()]
          .map(({ checksum, etag, number, size }) => ({ number, size, etag, checksum }))
          .sort((a, b) => a.number - b.number)
      }))
      .sort((a, b) => a.key < b.key ? -1 : 1),
    owners: [...owners].sort(),
    finished
  })

export const empty = plain({ sessions: [], owners: [], finished: [] })

export type Step = (journal: Service) => Effect.Effect<void, Journal.JournalError>

export const sync = (f: (journal: Service) => void): Step => (journal) => Effect.sync(() => f(journal))

/** Everything that can be noted, one record each. */
export const steps: ReadonlyArray<Step> = [
  (journal) => journal.begin(intentOf("a")),
  (journal) => journal.own("owner 1"),
  (journal) => journal.created("a", "upload a"),
  sync((journal) => journal.partStored("a", { number: 2, size: 8, checksum: { algorithm: "crc32", value: "AAAA" } })),
  sync((journal) => journal.finished({ key: "a", size: 1, fingerprint: "f" })),
  (journal) => journal.begin(intentOf("ü\n\ud83d\ude00", { size: undefined, fingerprint: undefined })),
  (journal) => journal.begin(intentOf("a", { token: "another" })),
  sync((journal) => journal.partStored("a", { number: 1, size: 8, etag: "\"e\"" })),
  (journal) => journal.created("a", "another upload"),
  (journal) => journal.runEnded,
  sync((journal) => journal.finished({ key: "b", size: 2, fingerprint: "g" })),
  (journal) => journal.own("owner 2"),
  sync((journal) => journal.ended("ü\n\ud83d\ude00")),
  (journal) => journal.disown("owner 1"),
  sync((journal) => journal.partStored("a", { number: 1, size: 9 }))
]

export const record = (directory: string) =>
  Effect.gen(function*() {
    const moments: Array<{ readonly size: number; readonly state: string }> = []
    const memory = yield* Journal.makeMemory
    // Where the file cannot be replaced, all records stay in it.
    fs.mkdirSync(path.join(directory, "journal.new"), { recursive: true, mode: 0o700 })
    fs.chmodSync(directory, 0o700)
    fs.rmdirSync(path.join(directory, "journal.new"))
    yield* Effect.scoped(Effect.gen(function*() {
      const journal = yield* open(directory)
      fs.mkdirSync(path.join(directory, "journal.new"))
      moments.push({ size: fs.statSync(fileIn(directory)).size, state: empty })
      for (const step of steps) {
        yield* step(memory)
        yield* step(journal)
        yield* journal.flush
        moments.push({ size: fs.statSync(fileIn(directory)).size, state: yield* stateOf(memory) })
      }
    }))
    fs.rmdirSync(path.join(directory, "journal.new"))
    return { moments, bytes: fs.readFileSync(fileIn(directory)) }
  })

export const errorOf = <A, R>(effect: Effect.Effect<A, Journal.JournalError, R>) =>
  Effect.map(Effect.either(effect), (result) => {
    if (Either.isRight(result)) throw new Error("it did not fail")
    return result.left
  })

/** Lets what waits for the disk go on, in tests whose clock stands still. */
export const immediate = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

/** A record as a file has it. */
export const framed = (payload: string): string => {
  const covered = `${payload.length} ${payload}`
  return `${crc32(covered).toString(16).padStart(8, "0")} ${covered}\n`
}
