/**
 * The state that results from the records of a journal file.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Intent } from "../../Journal.js"
import { DigestTable } from "./digestTable.js"
import * as Record from "./recordNode.js"
import { JournalState } from "./state.js"
import type { Entry } from "./state.js"

export class Replay {
  readonly state = new JournalState<Intent>()
  readonly finished = new DigestTable()
  /** The locations of finished files, by their digests without etags, for those noted with a location. */
  readonly locations = new Map<string, string>()
  header: Record.Header | undefined = undefined
  /** Whether a later version wrote some of it. */
  newer = false
  /** The number of unreadable ranges between records. An unreadable end was torn and does not count. */
  damaged = 0
  /** The offset after the last whole record, in bytes. */
  end = 0
  /** The number of records of finished files since the last run ended, and the offset after that end. */
  finishedRecords = 0
  finishedFrom = 0
  private readonly entries = new Map<number, Entry<Intent>>()
  private readonly scanner = new Record.Scanner((frame, damaged) => this.apply(frame, damaged))

  /** Takes more of the file, one character per byte; `last` marks the final piece. */
  feed(text: string, last?: boolean): void {
    this.scanner.feed(text, last)
  }

  private apply(frame: Record.Frame, damaged: boolean): void {
    if (!this.understand(frame) || damaged) this.damaged++
    this.end = frame.end
  }

  private understand({ end, length, payload }: Record.Frame): boolean {
    const written = /^\d+/.exec(payload)?.[0]
    if (written === undefined) return false
    const kind = payload.charAt(written.length)
    const body = payload.slice(written.length + 1)
    if (Number(written) > Record.version || !known.test(kind)) {
      this.newer = true
      return true
    }
    if (kind === "F" || kind === "W") {
      const finished = Record.finishedIn(payload)
      if (finished === undefined) return false
      this.finished.set(finished.digest)
      this.finishedRecords++
      if (finished.location !== undefined) this.locations.set(Record.identityIn(finished.digest), finished.location)
      return true
    }
    if (kind === "R") {
      this.finished.clear()
      this.locations.clear()
      this.finishedRecords = 0
      this.finishedFrom = end
      return true
    }
    return this.decode(kind, body, length)
  }

  private decode(kind: string, body: string, length: number): boolean {
    switch (kind) {
      case "H":
        return Option.match(decoders.H(body), {
          onNone: () => false,
          onSome: (header) => {
            this.header ??= header
            return true
          }
        })
      case "B":
        return this.with(decoders.B(body), ({ checksum, fingerprint, n, size, ...intent }) => {
          const former = this.state.entries.get(intent.key)
          if (former !== undefined) this.entries.delete(former.number)
          const entry = this.state.begin({ ...intent, checksum, fingerprint, size }, n)
          this.entries.set(n, entry)
          this.state.record(entry, length)
        })
      case "C":
        return this.with(decoders.C(body), ({ n, uploadId }) => {
          const entry = this.entries.get(n)
          if (entry === undefined) return
          entry.uploadId = uploadId
          this.state.record(entry, length)
        })
      case "P":
        return this.with(decoders.P(body), ({ n, ...part }) => {
          const entry = this.entries.get(n)
          if (entry === undefined) return
          if (!entry.parts.has(part.number)) this.state.record(entry, length)
          entry.parts.set(part.number, part)
        })
      case "E":
        return this.with(decoders.E(body), ({ n }) => {
          const entry = this.entries.get(n)
          if (entry === undefined) return
          this.entries.delete(n)
          this.state.end(entry.intent.key)
        })
      case "O":
        return this.with(decoders.O(body), ({ owner }) => this.state.owners.add(owner))
      default:
        return this.with(decoders.D(body), ({ owner }) => this.state.owners.delete(owner))
    }
  }

  private with<A>(decoded: Option.Option<A>, apply: (value: A) => unknown): boolean {
    if (Option.isNone(decoded)) return false
    apply(decoded.value)
    return true
  }
}

const known = /^[BCDEFHOPRW]$/

const decoder = <A, I>(schema: Schema.Schema<A, I>) => Schema.decodeUnknownOption(Schema.parseJson(schema))

const { kinds } = Record

const decoders = {
  H: decoder(kinds.H),
  B: decoder(kinds.B),
  C: decoder(kinds.C),
  P: decoder(kinds.P),
  E: decoder(kinds.E),
  O: decoder(kinds.O),
  D: decoder(kinds.D)
}
