/**
 * The unfinished multipart uploads of this user, from the journals, for `sluice uploads ls`.
 *
 * Journals are read without a lock. One that cannot be read is reported as a problem, and the others are listed all the
 * same. Upload ids are left out: at some destinations, anyone who knows them may write.
 */
import * as Journal from "@sluice/core/Journal"
import type { Contents } from "@sluice/core/JournalNode"
import * as JournalNode from "@sluice/core/JournalNode"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Format from "../terminal/Format.js"
import * as Json from "../terminal/Json.js"
import type { Style } from "../terminal/Style.js"
import * as TerminalText from "../terminal/TerminalText.js"
import * as Journals from "./Journals.js"

/** A journal at the time when it was read. */
export interface Found extends Contents {
  readonly directory: string
  /** The process that is using it. */
  readonly usedBy: number | undefined
}

/** One unfinished upload. */
export interface KeptUpload {
  readonly destination: string
  readonly source: string | undefined
  readonly key: string
  /** In bytes; `undefined` if it was not known beforehand. */
  readonly size: number | undefined
  readonly storedBytes: number
  readonly parts: number
  readonly partCount: number | undefined
  /** In milliseconds since the epoch. */
  readonly startedAt: number
  readonly journal: string
  readonly usedBy: number | undefined
}

/** All journals, or that of one directory, and the problems with those that cannot be read. */
export const find = Effect.fnUntraced(
  function*(
    directory: string | undefined
  ): Effect.fn.Return<
    { readonly journals: ReadonlyArray<Found>; readonly problems: ReadonlyArray<Journal.JournalError> }
  > {
    const directories = directory === undefined ? yield* Journals.directories : [directory]
    const read = yield* Effect.forEach(directories, (directory) =>
      Effect.either(
        Effect.zipWith(
          JournalNode.readDirectory(directory),
          JournalNode.userOf(directory),
          (contents, usedBy): Found => ({ ...contents, directory, usedBy })
        )
      ), { concurrency: 16 })
    // A successful upload removes its journal, so one that has disappeared is not a problem.
    const there = directory === undefined ? new Set(yield* Journals.directories) : new Set(directories)
    return {
      journals: read.filter(Either.isRight).map(({ right }) => right),
      problems: read.flatMap((one, i) => Either.isLeft(one) && there.has(directories[i] ?? "") ? [one.left] : [])
    }
  }
)

/** The unfinished uploads of journals, by destination and key. */
export const of = (journals: ReadonlyArray<Found>): ReadonlyArray<KeptUpload> =>
  journals.flatMap(({ destination, directory, sessions, source, usedBy }) =>
    sessions.map(({ key, partSize, parts, size, startedAt }) => ({
      destination,
      source,
      key,
      size,
      storedBytes: Journal.storedBytes({ parts }),
      parts: parts.size,
      partCount: size === undefined ? undefined : Math.ceil(size / partSize),
      startedAt,
      journal: directory,
      usedBy
    }))
  ).sort((a, b) => compare(a.destination, b.destination) || compare(a.key, b.key) || a.startedAt - b.startedAt)

/** One upload as a line of JSON. */
export const json = (upload: KeptUpload): string => Json.line({ _tag: "UnfinishedUpload", version: 1, ...upload })

/** Uploads as a table of at most `columns`; names that do not fit are cut at the beginning. */
export const table = (
  uploads: ReadonlyArray<KeptUpload>,
  options: { readonly columns: number; readonly style: Style; readonly now: number }
): ReadonlyArray<string> => {
  const rows = uploads.map((upload) => cellsOf(upload, options.now))
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...rows.map((cells) => TerminalText.width(cells[i] ?? "")))
  )
  const numbers = widths.slice(2).reduce((sum, width) => sum + gap.length + width, 0)
  const [destination, key] = share(options.columns - 1 - numbers - gap.length, widths[0] ?? 0, widths[1] ?? 0)
  const columns = [destination, key, ...widths.slice(2)]
  const line = (cells: ReadonlyArray<string>) =>
    cells.map((cell, i) => {
      const width = columns[i] ?? 0
      const cut = i < 2 ? TerminalText.cutStart(cell, width) : cell
      const padding = " ".repeat(Math.max(0, width - TerminalText.width(cut)))
      return i < 2 || i === cells.length - 1 ? cut + padding : padding + cut
    }).join(gap).trimEnd()
  return [options.style.bold(line(headings)), ...rows.map(line)]
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const headings = ["DESTINATION", "KEY", "STORED", "", "PARTS", "AGE"]

const gap = "  "

const minName = 12

const compare = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0

const cellsOf = (upload: KeptUpload, now: number): ReadonlyArray<string> => {
  const { partCount, parts, size, startedAt, storedBytes, usedBy } = upload
  const age = Format.duration(Math.max(0, now - startedAt))
  return [
    TerminalText.printable(upload.destination),
    TerminalText.printable(upload.key),
    size === undefined ? Format.bytes(storedBytes) : `${Format.bytes(storedBytes)} of ${Format.bytes(size)}`,
    size === undefined ? "?" : Format.percent(size === 0 ? 1 : storedBytes / size),
    partCount === undefined ? Format.count(parts) : `${Format.count(parts)} of ${Format.count(partCount)}`,
    usedBy === undefined ? age : `${age}, in progress`
  ]
}

/** The widths of two columns: what they need if that fits, otherwise at least half of the room for the second. */
const share = (room: number, first: number, second: number): readonly [number, number] => {
  if (first + second <= room) return [first, second]
  const forFirst = Math.max(minName, Math.min(first, Math.max(Math.floor(room / 2), room - second)))
  return [forFirst, Math.max(minName, room - forFirst)]
}
