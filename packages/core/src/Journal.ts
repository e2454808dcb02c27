/**
 * The port to what is remembered across processes: which multipart uploads were begun, which of their parts are stored,
 * and which files an unfinished run has already finished.
 *
 * With a journal in the context, an `Uploader` resumes where a killed process left off. Without one everything works,
 * but a crash means starting over. A journal is for one destination, and for one process at a time.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
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
 * @since 0.1.0
 * @category tags
 */
export class Journal extends Context.Tag("@sluice/core/Journal")<Journal, {
  /** The unfinished multipart upload of a key, if there is one. */
  readonly session: (key: string) => Option.Option<Session>
  /** All multipart uploads that have not ended. */
  readonly sessions: Effect.Effect<ReadonlyArray<Session>>
  /** Records an upload about to be created, replacing any record for the key; returns when that is written. */
  readonly begin: (intent: Intent) => Effect.Effect<void, JournalError>
  /** Records the destination's upload id; returns when that is written. */
  readonly created: (key: string, uploadId: string) => Effect.Effect<void, JournalError>
  /** Notes a stored part. It is written soon, in a batch with others: see `flush`. */
  readonly partStored: (key: string, part: StoredPart) => void
  /** Returns when everything noted is written. */
  readonly flush: Effect.Effect<void, JournalError>
  /** Notes that the session of a key has ended: it was completed, aborted or abandoned. */
  readonly ended: (key: string) => void
  /** Notes that a file is at the destination, for as long as the run is unfinished. */
  readonly finished: (file: Finished) => void
  /**
   * Whether an earlier, unfinished run has uploaded exactly this file, to any location. If both the file and the record
   * have an `etag`, they must also match: a different etag means that something else is there by now.
   */
  readonly wasFinished: (file: Finished) => boolean
  /** The location of exactly this file as noted by an earlier, unfinished run. Defaults to none. */
  readonly locationOf?: ((file: Finished) => string | undefined) | undefined
  /** The run has done everything it was asked to do: forgets the finished files and keeps the sessions. */
  readonly runEnded: Effect.Effect<void, JournalError>
  /** The names under which killed processes may have left things at the destination. */
  readonly owners: Effect.Effect<ReadonlyArray<string>>
  /** Records a name under which this process may leave things; returns when that is written. */
  readonly own: (owner: string) => Effect.Effect<void, JournalError>
  /** Forgets a name under which nothing is left. */
  readonly disown: (owner: string) => Effect.Effect<void, JournalError>
}>() {}

/**
 * A journal in memory, for tests and for runs within one process. It lives as long as the layer and touches no disk.
 *
 * It keeps the key of every finished file until its run has ended, about 200 bytes each.
 *
 * @example
 * ```ts
 * import { Journal } from "@sluice/core"
 * import { Effect } from "effect"
 * import * as assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const journal = yield* Journal.Journal
 *   const file = { key: "notes.txt", size: 12, fingerprint: "1:2:12:3" }
 *   journal.finished(file)
 *   assert.strictEqual(journal.wasFinished(file), true)
 *   yield* journal.runEnded
 *   assert.strictEqual(journal.wasFinished(file), false)
 * })
 *
 * Effect.runSync(Effect.provide(program, Journal.layerMemory))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Journal> = Layer.sync(Journal, () => {
  const state = new JournalState<Intent>()
  const finished = new Map<string, Omit<Finished, "key">>()
  const noted = (file: Finished) => {
    const known = finished.get(file.key)
    return known?.size === file.size && known.fingerprint === file.fingerprint ? known : undefined
  }
  return Journal.of({
    session: (key) => Option.fromNullable(state.session(key)),
    sessions: Effect.sync(() => state.sessions),
    begin: (intent) => Effect.sync(() => state.begin(intent)),
    created: (key, uploadId) =>
      Effect.sync(() => {
        const entry = state.entries.get(key)
        if (entry !== undefined) entry.uploadId = uploadId
      }),
    partStored: (key, part) => void state.entries.get(key)?.parts.set(part.number, part),
    flush: Effect.void,
    ended: (key) => void state.end(key),
    finished: ({ key, ...file }) => void finished.set(key, file),
    wasFinished: (file) => {
      const known = noted(file)
      return known !== undefined && (known.etag === undefined || file.etag === undefined || known.etag === file.etag)
    },
    locationOf: (file) => noted(file)?.location,
    runEnded: Effect.sync(() => finished.clear()),
    owners: Effect.sync(() => [...state.owners]),
    own: (owner) => Effect.sync(() => state.owners.add(owner)),
    disown: (owner) => Effect.sync(() => state.owners.delete(owner))
  })
})
