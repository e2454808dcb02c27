/**
 * What a journal knows about unfinished uploads, as plain state: the same in memory as when replayed from a file.
 */
import type { StoredPart } from "../../Destination.js"

/** An unfinished multipart upload. Its number is unique, so records of another upload never apply to it. */
export interface Entry<Intent> {
  readonly number: number
  readonly intent: Intent
  readonly parts: Map<number, StoredPart>
  uploadId: string | undefined
  /** The size of its records in bytes, if they are written. */
  recorded: number
}

export class JournalState<Intent extends { readonly key: string }> {
  readonly entries = new Map<string, Entry<Intent>>()
  readonly owners = new Set<string>()
  private lastNumber = 0
  private entriesRecorded = 0

  /** The size of the records of all entries in bytes. */
  get recorded(): number {
    return this.entriesRecorded
  }

  begin(intent: Intent, number = this.lastNumber + 1): Entry<Intent> {
    this.end(intent.key)
    const entry: Entry<Intent> = { number, intent, parts: new Map(), uploadId: undefined, recorded: 0 }
    this.entries.set(intent.key, entry)
    this.lastNumber = Math.max(this.lastNumber, number)
    return entry
  }

  created(key: string, uploadId: string): void {
    const entry = this.entries.get(key)
    if (entry !== undefined) entry.uploadId = uploadId
  }

  partStored(key: string, part: StoredPart): void {
    this.entries.get(key)?.parts.set(part.number, part)
  }

  end(key: string): Entry<Intent> | undefined {
    const entry = this.entries.get(key)
    if (entry === undefined) return undefined
    this.entries.delete(key)
    this.entriesRecorded -= entry.recorded
    return entry
  }

  record(entry: Entry<Intent>, bytes: number): void {
    entry.recorded += bytes
    this.entriesRecorded += bytes
  }

  session(key: string) {
    const entry = this.entries.get(key)
    return entry === undefined ? undefined : sessionOf(entry)
  }

  get sessions() {
    return Array.from(this.entries.values(), sessionOf)
  }
}

/** A copy, so that its holder does not see it change. */
const sessionOf = <Intent>({ intent, parts, uploadId }: Entry<Intent>) => ({
  ...intent,
  uploadId,
  parts: new Map(parts)
})
