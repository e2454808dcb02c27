/**
 * The port to memory across processes: which multipart uploads were begun, which of their parts are stored, and which
 * files an unfinished run has finished already.
 *
 * With a journal in the context, an `Uploader` goes on where a process that was killed has left off. Without one,
 * everything works, and a crash means to begin again. A journal is for one destination, and for one process at a time.
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
 * What a multipart upload was begun with. Another size, fingerprint, part size or checksum is another upload.
 *
 * @since 0.1.0
 * @category models
 */
export interface Intent {
  readonly key: string
  /** The random name that `create` is called with. */
  readonly token: string
  /** In bytes; `undefined` when nobody knew beforehand: such an upload cannot go on. */
  readonly size: number | undefined
  /** The source's fingerprint, where it has one. */
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
  /** What the destination calls it; `undefined` where its answer to `create` was never heard. */
  readonly uploadId: string | undefined
  /** The parts that are stored, by number. */
  readonly parts: ReadonlyMap<number, StoredPart>
}

/**
 * How many bytes the destination has of an upload that has not ended, by the parts that are stored.
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
 * A file that is at the destination, whole.
 *
 * @since 0.1.0
 * @category models
 */
export interface Finished {
  readonly key: string
  readonly size: number
  /** The source's fingerprint when it was uploaded; a file without one is never skipped. */
  readonly fingerprint: string
  /** Where the destination has put it, where it chooses that itself. */
  readonly location?: string | undefined
  /** The destination's tag for what is there, in the strong form (`"…"`), where it gives one. */
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
     * `Locked`: another process is using it. `Foreign`: it is another destination's. `Unusable`: it cannot be read or
     * written. `Newer`: a later version has written it.
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
  /** The multipart upload of a key that has not ended, if there is one. */
  readonly session: (key: string) => Option.Option<Session>
  /** All multipart uploads that have not ended. */
  readonly sessions: Effect.Effect<ReadonlyArray<Session>>
  /** Writes down what is about to be created, in place of what was there for the key; returns when that is written. */
  readonly begin: (intent: Intent) => Effect.Effect<void, JournalError>
  /** Writes down what the destination calls it; returns when that is written. */
  readonly created: (key: string, uploadId: string) => Effect.Effect<void, JournalError>
  /** Notes a part that is stored. It is written soon, and together with others: see `flush`. */
  readonly partStored: (key: string, part: StoredPart) => void
  /** Returns when all that was noted is written. */
  readonly flush: Effect.Effect<void, JournalError>
  /** Notes that the session of a key has ended: it was completed, aborted or given up. */
  readonly ended: (key: string) => void
  /** Notes that a file is at the destination, for as long as the run is unfinished. */
  readonly finished: (file: Finished) => void
  /**
   * Whether an earlier, unfinished run has uploaded just this file, wherever to. With an `etag`, it also has to be the one
   * that was noted, if one was: under another etag, something else is there by now.
   */
  readonly wasFinished: (file: Finished) => boolean
  /** Where the destination has put just this file, as it was noted by an earlier, unfinished run. Defaults to nowhere. */
  readonly locationOf?: ((file: Finished) => string | undefined) | undefined
  /** The run has done all it was asked to: forgets the files that were finished, and keeps the sessions. */
  readonly runEnded: Effect.Effect<void, JournalError>
  /** What processes that were killed may have left at the destination under these names. */
  readonly owners: Effect.Effect<ReadonlyArray<string>>
  /** Writes down a name that this process may leave things under; returns when that is written. */
  readonly own: (owner: string) => Effect.Effect<void, JournalError>
  /** Forgets a name: nothing is left under it. */
  readonly disown: (owner: string) => Effect.Effect<void, JournalError>
}>() {}

/**
 * A journal in memory, for tests and for runs of one process. It is gone with the layer, and no disk is touched.
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
