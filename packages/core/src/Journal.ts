/**
 * The port to what is remembered across processes: which multipart uploads were begun, which of their parts are stored,
 * and which files an unfinished run has already finished.
 *
 * With a journal in the context, an `Uploader` resumes where a killed process left off. Without one everything works,
 * but a crash means starting over. A journal is for one destination, and for one process at a time.
 *
 * Anybody can write one. `layerMemory` is a journal in memory, `JournalNode` one in a directory, and `JournalStore` one
 * in a `KeyValueStore`; `Journal` documents what a journal in a database has to do.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { Algorithm } from "./Checksum.js"
import type { StoredPart } from "./Destination.js"
import { JournalState } from "./internal/journal/state.js"

/**
 * The parameters of a multipart upload. A different size, fingerprint, part size or checksum means a different upload.
 *
 * @since 0.1.0
 * @category models
 */
export interface Intent {
  readonly key: string
  /** The random name passed to `create`. */
  readonly token: string
  /** In bytes; `undefined` if it was not known in advance: such an upload cannot be resumed. */
  readonly size: number | undefined
  /** The source's fingerprint, if it has one. */
  readonly fingerprint: string | undefined
  /** The size of the first part, in bytes. */
  readonly partSize: number
  readonly checksum: Algorithm | undefined
  /** When it was begun, in milliseconds since the epoch. */
  readonly startedAt: number
}

/**
 * A multipart upload that has not ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session extends Intent {
  /** The destination's upload id; `undefined` if the answer to `create` never arrived. */
  readonly uploadId: string | undefined
  /** The parts that are stored, by number. */
  readonly parts: ReadonlyMap<number, StoredPart>
}

/**
 * The bytes that the destination has of an unfinished upload: the sum of the stored parts.
 *
 * @since 0.1.0
 * @category getters
 */
export const storedBytes = ({ parts }: Pick<Session, "parts">): number => {
  let bytes = 0
  for (const { size } of parts.values()) bytes += size
  return bytes
}

/**
 * A file that is complete at the destination.
 *
 * @since 0.1.0
 * @category models
 */
export interface Finished {
  readonly key: string
  readonly size: number
  /** The source's fingerprint when it was uploaded; a file without one is never skipped. */
  readonly fingerprint: string
  /** Where the object is, if the destination chooses the location itself. */
  readonly location?: string | undefined
  /** The destination's tag for the content, in the strong form (`"…"`), if it gives one. */
  readonly etag?: string | undefined
}

/**
 * The journal cannot be used.
 *
 * @since 0.1.0
 * @category errors
 */
export class JournalError extends Schema.TaggedError<JournalError>("@sluice/core/Journal/JournalError")(
  "JournalError",
  {
    /**
     * `Locked`: another process is using it. `Foreign`: it belongs to another destination. `Unusable`: it cannot be
     * read or written. `Newer`: a later version wrote it.
     */
    reason: Schema.Literal("Locked", "Foreign", "Unusable", "Newer"),
    /** What happened, for people; no secrets. */
    detail: Schema.String,
    cause: Schema.optional(Schema.Defect)
  }
) {
  /** @since 0.1.0 */
  override get message(): string {
    return this.detail
  }
}

/**
 * The answer of a journal: the value itself, or an effect that gives it. A value is used at once, without a step of a
 * fiber. `A` must not be an effect itself, as `Option` and `Either` are.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer<A> = A | Effect.Effect<A, JournalError>

/**
 * The record of a file that an earlier, unfinished run has uploaded.
 *
 * @since 0.1.0
 * @category models
 */
export interface Noted {
  /** Where the object is, if the destination chooses the location itself. */
  readonly location: string | undefined
  /** Whether the object had this etag, in the strong form (`"…"`); `true` if no etag was recorded. */
  readonly isEtag: (etag: string) => boolean
}

/**
 * Where a file may be, and what identifies its content.
 *
 * @since 0.1.0
 * @category models
 */
export type Identity = Pick<Finished, "key" | "size" | "fingerprint">

/**
 * The journal of an uploader.
 *
 * **Answers.** Verbs of type `Answer` may answer at once or by an effect, so a journal may be in memory, on a disk, in a
 * database or behind a network. Before an upload takes its next step, it waits for the effect. Different files, and the
 * parts of one file, call the journal concurrently. For one file the order is: `wasFinished` or `session`; `begin`,
 * before the destination is asked to create the upload; `created`, before the first part; `partStored`, after each part;
 * `flush`, before the destination is asked to complete the upload; `finished`; `ended`. `runEnded` comes after all of
 * this, for every file of the run.
 *
 * **Durability.** What `begin`, `created`, `own` and `disown` record must survive the death of the process from the
 * moment they return, and what `partStored`, `finished` and `ended` record from the end of the next `flush` at the
 * latest. If such a record is lost in a crash, the part is sent again, or the object is looked for.
 *
 * **Failures.** If `session`, `begin`, `created`, `partStored` or `flush` fails, so does the file, as `Rejected`: without
 * the record, a crash would leave an orphan. If `wasFinished` fails, the file is uploaded. If `finished`, `ended`,
 * `runEnded`, `owners`, `own` or `disown` fails, that is logged. A defect and an interruption of its own count as
 * failures. A journal retries what it wants retried, with a `Schedule` of its own.
 *
 * **Time.** An effect has a minute. Then it is interrupted, is not waited for any longer, and has failed. An upload that
 * is interrupted itself stops waiting for `wasFinished`, but not for what records its state.
 *
 * @since 0.1.0
 * @category tags
 */
export class Journal extends Context.Tag("@sluice/core/Journal")<Journal, {
  /**
   * The unfinished multipart upload of a key; `undefined` if there is none. Asked once for each attempt of a large file,
   * and of a small one if the destination also takes parts.
   */
  readonly session: (key: string) => Answer<Session | undefined>
  /** All multipart uploads that have not ended. */
  readonly sessions: Effect.Effect<ReadonlyArray<Session>, JournalError>
  /** Records an upload about to be created, replacing any record for the key; returns when that is written. */
  readonly begin: (intent: Intent) => Effect.Effect<void, JournalError>
  /** Records the destination's upload id; returns when that is written. */
  readonly created: (key: string, uploadId: string) => Effect.Effect<void, JournalError>
  /** Notes a stored part. It may be written later, in a batch with others: see `flush`. */
  readonly partStored: (key: string, part: StoredPart) => Answer<void>
  /** Returns when everything noted is written. */
  readonly flush: Effect.Effect<void, JournalError>
  /** Notes that the session of a key has ended: it was completed, aborted or abandoned. */
  readonly ended: (key: string) => Answer<void>
  /** Notes that a file is at the destination, for as long as the run is unfinished. It replaces what the key had. */
  readonly finished: (file: Finished) => Answer<void>
  /**
   * The record of exactly this file if an earlier, unfinished run has uploaded it. Asked once for each file that has a
   * fingerprint, while the file holds its permit.
   */
  readonly wasFinished: (file: Identity) => Answer<Noted | undefined>
  /** The run has done everything it was asked to do: forgets the finished files and keeps the sessions. */
  readonly runEnded: Effect.Effect<void, JournalError>
  /** The names under which killed processes may have left things at the destination. */
  readonly owners: Effect.Effect<ReadonlyArray<string>, JournalError>
  /** Records a name under which this process may leave things; returns when that is written. */
  readonly own: (owner: string) => Effect.Effect<void, JournalError>
  /** Forgets a name under which nothing is left. */
  readonly disown: (owner: string) => Effect.Effect<void, JournalError>
}>() {}

/**
 * A journal that answers at once, as those in memory and in a directory do.
 *
 * @since 0.1.0
 * @category models
 */
export interface Immediate extends Service {
  readonly session: (key: string) => Session | undefined
  readonly sessions: Effect.Effect<ReadonlyArray<Session>>
  readonly partStored: (key: string, part: StoredPart) => void
  readonly ended: (key: string) => void
  readonly finished: (file: Finished) => void
  readonly wasFinished: (file: Identity) => Noted | undefined
  readonly owners: Effect.Effect<ReadonlyArray<string>>
}

/**
 * What a journal answers to `wasFinished`, from its record of the key: `undefined` if there is none, or it is of a file
 * of another size or fingerprint.
 *
 * @example
 * ```ts
 * import { Journal } from "@sluice/core"
 * import * as assert from "node:assert"
 *
 * const record = { key: "notes.txt", size: 12, fingerprint: "1:2:12:3", etag: "\"5eb63bbb\"" }
 * const file = { key: "notes.txt", size: 12, fingerprint: "1:2:12:3" }
 *
 * assert.strictEqual(Journal.noted(record, file)?.isEtag("\"5eb63bbb\""), true)
 * assert.strictEqual(Journal.noted(record, { ...file, fingerprint: "1:2:12:4" }), undefined)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const noted = (
  record: Omit<Finished, "key"> | undefined,
  { fingerprint, size }: Omit<Identity, "key">
): Noted | undefined => {
  if (record === undefined || record.size !== size || record.fingerprint !== fingerprint) return undefined
  const { etag: known, location } = record
  return { location, isEtag: (etag) => known === undefined || known === etag }
}

/**
 * Makes a journal in memory; see `layerMemory`.
 *
 * @example
 * ```ts
 * import { Journal } from "@sluice/core"
 * import { Effect } from "effect"
 * import * as assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const journal = yield* Journal.makeMemory
 *   const file = { key: "notes.txt", size: 12, fingerprint: "1:2:12:3" }
 *   journal.finished(file)
 *   assert.notStrictEqual(journal.wasFinished(file), undefined)
 *   yield* journal.runEnded
 *   assert.strictEqual(journal.wasFinished(file), undefined)
 * })
 *
 * Effect.runSync(program)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory: Effect.Effect<Immediate> = Effect.sync((): Immediate => {
  const state = new JournalState<Intent>()
  const finished = new Map<string, Omit<Finished, "key">>()
  return {
    session: (key) => state.session(key),
    sessions: Effect.sync(() => state.sessions),
    begin: (intent) => Effect.sync(() => state.begin(intent)),
    created: (key, uploadId) => Effect.sync(() => state.created(key, uploadId)),
    partStored: (key, part) => state.partStored(key, part),
    flush: Effect.void,
    ended: (key) => void state.end(key),
    finished: ({ key, ...file }) => void finished.set(key, file),
    wasFinished: (file) => noted(finished.get(file.key), file),
    runEnded: Effect.sync(() => finished.clear()),
    owners: Effect.sync(() => [...state.owners]),
    own: (owner) => Effect.sync(() => state.owners.add(owner)),
    disown: (owner) => Effect.sync(() => state.owners.delete(owner))
  }
})

/**
 * A journal in memory, for tests and for runs within one process. It lives as long as the layer and touches no disk.
 *
 * It keeps the key of every finished file until its run has ended, about 200 bytes each.
 *
 * @example
 * ```ts
 * import { Journal, Uploader } from "@sluice/core"
 * import * as Simulated from "@sluice/core/destinations/Simulated"
 * import { Layer } from "effect"
 *
 * const UploaderLayer = Uploader.layer().pipe(
 *   Layer.provide(Simulated.layer()),
 *   Layer.provide(Journal.layerMemory)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Journal> = Layer.effect(Journal, makeMemory)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Service = Journal["Type"]
