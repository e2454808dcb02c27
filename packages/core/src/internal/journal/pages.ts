/**
 * The records of a journal in a key-value store, as a log in pages.
 *
 * The entry `<name>` is the head: the destination, and the generation of the log. Its pages are `<name>/<generation>/1`,
 * `…/2` and so on, each an array of records. A page is written again with each batch of records until it is full. A log
 * that has become much longer than what it says is replaced by one of the next generation; the head decides which one
 * counts.
 */
import * as Schema from "effect/Schema"
import * as Checksum from "../../Checksum.js"
import type { StoredPart } from "../../Destination.js"
import type { Finished, Intent } from "../../Journal.js"
import { JournalState } from "./state.js"

export const version = 1

export const Head = Schema.parseJson(Schema.Struct({
  version: Schema.Int,
  destination: Schema.String,
  generation: Schema.Int
}))

const text = Schema.UndefinedOr(Schema.String)

const Part = Schema.Struct({
  number: Schema.Int,
  size: Schema.Number,
  etag: text,
  checksum: Schema.UndefinedOr(Schema.Struct({ algorithm: Checksum.Algorithm, value: Schema.String }))
})

const Record = Schema.Union(
  Schema.TaggedStruct("begin", {
    key: Schema.String,
    token: Schema.String,
    size: Schema.UndefinedOr(Schema.Number),
    fingerprint: text,
    partSize: Schema.Number,
    checksum: Schema.UndefinedOr(Checksum.Algorithm),
    startedAt: Schema.Number
  }),
  Schema.TaggedStruct("created", { key: Schema.String, uploadId: Schema.String }),
  Schema.TaggedStruct("part", { key: Schema.String, part: Part }),
  Schema.TaggedStruct("ended", { key: Schema.String }),
  Schema.TaggedStruct("finished", {
    key: Schema.String,
    size: Schema.Number,
    fingerprint: Schema.String,
    location: text,
    etag: text
  }),
  Schema.TaggedStruct("runEnded", {}),
  Schema.TaggedStruct("owned", { owner: Schema.String }),
  Schema.TaggedStruct("disowned", { owner: Schema.String })
)

export type Record = typeof Record.Type

export const Page = Schema.parseJson(Schema.Array(Record))

/** What the records of a log say. */
export class Contents {
  readonly state = new JournalState<Intent>()
  readonly finished = new Map<string, Omit<Finished, "key">>()

  apply(record: Record): void {
    const { finished, state } = this
    switch (record._tag) {
      case "begin": {
        const { _tag, ...intent } = record
        state.begin(intent)
        return
      }
      case "created":
        return state.created(record.key, record.uploadId)
      case "part":
        return state.partStored(record.key, record.part)
      case "ended":
        state.end(record.key)
        return
      case "finished": {
        const { _tag, key, ...file } = record
        finished.set(key, file)
        return
      }
      case "runEnded":
        return finished.clear()
      case "owned":
        state.owners.add(record.owner)
        return
      case "disowned":
        state.owners.delete(record.owner)
        return
    }
  }

  /** The number of records that say all of it. */
  get size(): number {
    const { finished, state } = this
    let size = finished.size + state.owners.size
    for (const { parts } of state.entries.values()) size += 2 + parts.size
    return size
  }

  /** Records that say all of it. */
  get records(): ReadonlyArray<Record> {
    const { finished, state } = this
    const records: Array<Record> = Array.from(state.owners, (owner) => ({ _tag: "owned", owner }))
    for (const { parts, uploadId, ...intent } of state.sessions) {
      records.push({ _tag: "begin", ...intent })
      if (uploadId !== undefined) records.push({ _tag: "created", key: intent.key, uploadId })
      for (const part of parts.values()) records.push(partStored(intent.key, part))
    }
    for (const [key, { etag, fingerprint, location, size }] of finished) {
      records.push({ _tag: "finished", key, size, fingerprint, location, etag })
    }
    return records
  }
}

export const partStored = (key: string, { checksum, etag, number, size }: StoredPart): Record => ({
  _tag: "part",
  key,
  part: { number, size, etag, checksum }
})
