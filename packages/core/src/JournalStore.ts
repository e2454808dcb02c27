/**
 * A journal in a `KeyValueStore`, so that uploads resume where there is no directory: after a reload in a browser, or in
 * a database, behind a small adapter.
 *
 * The journal reads its entries once, when it is made, and answers from memory; everything it records is written before
 * the upload goes on. Records that come while a write is under way are written together with the next one. Memory and
 * storage hold the unfinished uploads, about 100 bytes a part, and about 200 bytes for each finished file until its run
 * has ended. In Node, `JournalNode` needs less of both, and locks its directory.
 *
 * @since 0.1.0
 */
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Pages from "./internal/journal/pages.js"
import { Journal, JournalError, noted } from "./Journal.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The name of the destination, without secrets. A journal of another destination is refused. */
  readonly destination: string
  /**
   * The name of the journal in the store. All of its entries have this name or begin with it and a slash. Defaults to
   * `journal`.
   */
  readonly name?: string | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { name: "journal" } as const satisfies Partial<Options>

/**
 * Opens a journal in the key-value store; see `layer`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(
  function*(options: Options): Effect.fn.Return<Journal["Type"], JournalError, KeyValueStore.KeyValueStore> {
    const { destination, name = defaults.name } = options
    const store = yield* KeyValueStore.KeyValueStore
    const log = yield* open(store, name, destination)
    const { contents, write } = log
    const { finished, state } = contents
    return Journal.of({
      session: (key) => state.session(key),
      sessions: Effect.sync(() => state.sessions),
      begin: ({ checksum, fingerprint, key, partSize, size, startedAt, token }) =>
        write({ _tag: "begin", key, token, size, fingerprint, partSize, checksum, startedAt }),
      created: (key, uploadId) => write({ _tag: "created", key, uploadId }),
      partStored: (key, part) => state.entries.has(key) ? write(Pages.partStored(key, part)) : Effect.void,
      flush: log.flush,
      ended: (key) => state.entries.has(key) ? write({ _tag: "ended", key }) : Effect.void,
      finished: ({ etag, fingerprint, key, location, size }) =>
        write({ _tag: "finished", key, size, fingerprint, location, etag }),
      wasFinished: (file) => noted(finished.get(file.key), file),
      runEnded: Effect.suspend(() => finished.size === 0 ? log.flush : write({ _tag: "runEnded" })),
      owners: Effect.sync(() => [...state.owners]),
      own: (owner) => state.owners.has(owner) ? log.flush : write({ _tag: "owned", owner }),
      disown: (owner) => state.owners.has(owner) ? write({ _tag: "disowned", owner }) : log.flush
    })
  }
)

/**
 * A journal in the key-value store of the context. A store has no locks: whoever provides it sees to it that one process
 * at a time uses the journal.
 *
 * Fails with `Foreign` if the journal belongs to another destination, with `Newer` if a later version wrote it, and with
 * `Unusable` if the store cannot be read or written, or holds something else under that name. In all of these cases the
 * store is left unchanged.
 *
 * @example
 * ```ts
 * import * as KeyValueStore from "@effect/platform/KeyValueStore"
 * import { Uploader } from "@sluice/core"
 * import * as Simulated from "@sluice/core/destinations/Simulated"
 * import * as JournalStore from "@sluice/core/JournalStore"
 * import { Layer } from "effect"
 *
 * const UploaderLayer = Uploader.layer().pipe(
 *   Layer.provide(JournalStore.layer({ destination: "https://storage.example.org/photos" })),
 *   Layer.provide(KeyValueStore.layerMemory),
 *   Layer.provide(Simulated.layer())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Journal, JournalError, KeyValueStore.KeyValueStore> =>
  Layer.effect(Journal, make(options))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The most records of a page: each batch writes its page again. */
const pageSize = 64

/** How many pages a log may always have. */
const fewPages = 8

interface Log {
  readonly contents: Pages.Contents
  /** Records something; returns when it is written. */
  readonly write: (record: Pages.Record) => Effect.Effect<void, JournalError>
  readonly flush: Effect.Effect<void, JournalError>
}

const open = Effect.fnUntraced(
  function*(
    store: KeyValueStore.KeyValueStore,
    name: string,
    destination: string
  ): Effect.fn.Return<Log, JournalError> {
    const contents = new Pages.Contents()
    const keyOf = (generation: number, page: number) => `${name}/${generation}/${page}`
    const get = (key: string) => Effect.mapError(store.get(key), failedTo("read"))
    const set = (key: string, value: string) => Effect.mapError(store.set(key, value), failedTo("written"))
    const pagesOf = (generation: number, page = 1): Effect.Effect<number, JournalError> =>
      Effect.flatMap(
        get(keyOf(generation, page)),
        (found) => Option.isSome(found) ? pagesOf(generation, page + 1) : Effect.succeed(page - 1)
      )
    /** Removes a log, from its end: what is left of it is found again. */
    const remove = (generation: number) =>
      Effect.flatMap(pagesOf(generation), (pages) =>
        Effect.forEach(
          Array.from({ length: pages }, (_, i) => keyOf(generation, pages - i)),
          (key) => Effect.mapError(store.remove(key), failedTo("written")),
          { discard: true }
        ))

    const found = yield* get(name)
    const head = Option.isSome(found) ? yield* understand(Pages.Head, name, found.value) : undefined
    if (head !== undefined && head.version > Pages.version) {
      return yield* Effect.fail(
        new JournalError({
          reason: "Newer",
          detail: `The journal ${name} was written by a later version of Sluice, and only that version can use it.`
        })
      )
    }
    if (head !== undefined && head.destination !== destination) {
      return yield* Effect.fail(
        new JournalError({
          reason: "Foreign",
          detail: `The journal ${name} is for ${head.destination}, not for ${destination}.`
        })
      )
    }
    let generation = head?.generation ?? 0
    let page = 0
    let records: ReadonlyArray<Pages.Record> = []
    for (; head !== undefined; page++) {
      const key = keyOf(generation, page + 1)
      const text = yield* get(key)
      if (Option.isNone(text)) break
      records = yield* understand(Pages.Page, key, text.value)
      for (const record of records) contents.apply(record)
    }

    let noted = 0
    let written = 0
    let pending: Array<Pages.Record> = []
    /** Whether the log that counts is the one of this generation. */
    let isCurrent = head !== undefined
    /** The generations of which something may be left. */
    const stale = new Set<number>()
    const setPage = (generation: number, page: number, records: ReadonlyArray<Pages.Record>) =>
      set(keyOf(generation, page), JSON.stringify(records))

    /** Replaces the log by one that says the same in fewer records. */
    const replace = Effect.gen(function*() {
      stale.add(generation)
      const upTo = noted
      const all = contents.records
      pending = []
      isCurrent = false
      generation += 1
      yield* remove(generation)
      const pages = Math.ceil(all.length / pageSize)
      for (let i = 0; i < pages; i++) yield* setPage(generation, i + 1, all.slice(i * pageSize, (i + 1) * pageSize))
      yield* set(name, JSON.stringify({ version: Pages.version, destination, generation }))
      isCurrent = true
      page = pages
      records = all.slice(Math.max(0, pages - 1) * pageSize)
      written = upTo
      yield* Effect.ignoreLogged(Effect.forEach(stale, (old) => Effect.map(remove(old), () => stale.delete(old))))
    })

    const append = Effect.suspend(() => {
      const upTo = noted
      const batch = pending
      const isFull = page === 0 || records.length >= pageSize
      const next = isFull ? batch : [...records, ...batch]
      pending = []
      return Effect.matchEffect(setPage(generation, isFull ? page + 1 : page, next), {
        onFailure: (error) => {
          pending = [...batch, ...pending]
          return Effect.fail(error)
        },
        onSuccess: () => {
          if (isFull) page += 1
          records = next
          written = upTo
          return Effect.void
        }
      })
    })

    const writer = Effect.unsafeMakeSemaphore(1)
    const settle = Effect.suspend(() =>
      !isCurrent || page > fewPages + 2 * Math.ceil(contents.size / pageSize) ? replace : append
    )
    // A write that is cut could still arrive, after a later one of the same page. So it is never interrupted.
    const writtenUpTo = (mine: number): Effect.Effect<void, JournalError> =>
      Effect.suspend(() =>
        written >= mine
          ? Effect.void
          : Effect.uninterruptibleMask((restore) =>
            Effect.zipRight(
              restore(writer.take(1)),
              Effect.ensuring(
                Effect.suspend(() => written >= mine ? Effect.void : settle),
                writer.release(1)
              )
            )
          )
      )
    return {
      contents,
      write: (record) =>
        Effect.suspend(() => {
          contents.apply(record)
          pending.push(record)
          noted += 1
          return writtenUpTo(noted)
        }),
      flush: Effect.suspend(() => writtenUpTo(noted))
    }
  }
)

const understand = <A, I>(schema: Schema.Schema<A, I>, key: string, text: I): Effect.Effect<A, JournalError> =>
  Effect.mapError(Schema.decode(schema)(text), (cause) =>
    new JournalError({
      reason: "Unusable",
      detail: `The entry ${key} is damaged, or not of a journal. Remove it to start a new journal.`,
      cause
    }))

const failedTo = (how: "read" | "written") => (cause: unknown): JournalError =>
  new JournalError({ reason: "Unusable", detail: `The store of the journal cannot be ${how}.`, cause })
