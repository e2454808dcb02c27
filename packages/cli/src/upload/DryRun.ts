/**
 * Prints what an upload would send: one line per file on standard output, with its key, a tab and its size in bytes,
 * and a summary on standard error. Control characters of a key are always shown as symbols, so that each file takes one
 * line; lines of JSON have the exact keys. Nothing is sent or written; {@link DestinationLook} checks whether the
 * destination can be used, as far as that changes nothing there.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as UploadError from "@sluice/core/UploadError"
import * as UploadList from "@sluice/core/UploadList"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { CliError } from "../CliError.js"
import type { Sources } from "../sources/Sources.js"
import * as Format from "../terminal/Format.js"
import * as Json from "../terminal/Json.js"
import { Output, writeLines } from "../terminal/Output.js"
import * as Report from "../terminal/Report.js"
import { printable } from "../terminal/TerminalText.js"

export interface Options {
  readonly json: boolean
  readonly quiet: boolean
  readonly errorOnNoTransfer: boolean
  /** What there is to say about the filter, after the list has been read. */
  readonly filtered: () => ReturnType<typeof Report.filtered>
  /** Fails if the destination cannot be used. */
  readonly destination: Effect.Effect<void, CliError, FileSystem.FileSystem | Path.Path | Output>
}

/**
 * Prints what would be uploaded. Fails with `SomeFailed` if something cannot be read, and with `DestinationUnusable` if
 * the destination cannot be used.
 */
export const print = Effect.fnUntraced(
  function*(
    sources: Sources,
    options: Options
  ): Effect.fn.Return<void, CliError, FileSystem.FileSystem | Path.Path | Output> {
    const { stderr, stdout } = yield* Output
    const items = Stream.StreamTypeId in sources.items ? sources.items : Stream.fromIterable(sources.items)
    const plan = { _tag: "Plan", version, files: { total: 0, planned: 0, skipped: 0, failed: 0 }, bytes: { total: 0 } }
    const textOf = (line: Line) => line._tag === "Planned" ? [`${printable(line.key)}\t${line.size ?? "?"}`] : []
    const failureOf = (line: Line) =>
      line._tag === "Failed" ? [stderr.style.red(`Failed ${Report.failureLine(line.key, line.error.message, 0)}`)] : []
    const destination = yield* Effect.fork(Effect.either(options.destination))
    let isRead = false
    yield* items.pipe(
      Stream.concat(Stream.execute(Effect.sync(() => isRead = true))),
      Stream.takeWhile(() => !stdout.closed()),
      Stream.runForEachChunk((chunk) => {
        const lines = Chunk.toReadonlyArray(chunk).map(lineOf)
        const room = Math.max(0, Report.failuresShown - plan.files.failed)
        for (const line of lines) add(plan, line)
        return Effect.zipRight(
          writeLines(stdout, lines.flatMap((line) => options.json ? [Json.line(line)] : textOf(line))),
          writeLines(stderr, lines.flatMap(failureOf).slice(0, room))
        )
      })
    )
    if (options.json) yield* writeLines(stdout, [Json.line(plan)])
    const { failed, planned, skipped } = plan.files
    const nothing = options.errorOnNoTransfer && planned === 0 && isRead
    if (!options.quiet || failed > 0 || nothing) {
      const { leftOut, unmatched } = isRead ? options.filtered() : { leftOut: [], unmatched: [] }
      const facts = [
        `Would upload ${Format.counted(planned, "file")}, ${Format.bytes(plan.bytes.total)}${
          isRead ? "" : ", and more"
        }`,
        ...(skipped > 0 ? [`${Format.count(skipped)} would be skipped`] : []),
        ...(failed > 0 ? [`${Format.count(failed)} cannot be read`] : [])
      ]
      yield* writeLines(stderr, [
        `${facts.join(", ")}. Nothing was sent.`,
        ...(isRead ? [] : [
          `The list was not read to its end, since ${
            Option.isSome(stdout.failure()) ? "the plan could not be written" : "its reader went away"
          }: there may be more files.`
        ]),
        ...(plan.files.total > 0 ? [] : leftOut),
        ...unmatched.map(stderr.style.yellow)
      ])
    }
    if (failed > 0) return yield* new CliError({ reason: "SomeFailed" })
    yield* Effect.flatten(Fiber.join(destination))
    if (nothing) return yield* new CliError({ reason: "NothingTransferred" })
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The version in the lines of `--json`. */
const version = 1

/** The outcome for one item. */
type Line =
  | { readonly _tag: "Planned"; readonly version: 1; readonly key: string; readonly size: number | undefined }
  | { readonly _tag: "Skipped"; readonly version: 1; readonly key: string; readonly reason: string }
  | { readonly _tag: "Failed"; readonly version: 1; readonly key: string; readonly error: UploadError.Summary }

const lineOf = (item: UploadList.Item): Line => {
  if (UploadList.isFile(item)) return { _tag: "Planned", version, key: item.key, size: item.size }
  const { key } = item.file
  return item._tag === "Skipped"
    ? { _tag: "Skipped", version, key, reason: item.reason }
    : { _tag: "Failed", version, key, error: UploadError.summarize(item.error) }
}

interface Plan {
  readonly files: { total: number; planned: number; skipped: number; failed: number }
  readonly bytes: { total: number }
}

const add = (plan: Plan, line: Line): void => {
  plan.files.total += 1
  if (line._tag === "Planned") {
    plan.files.planned += 1
    plan.bytes.total += line.size ?? 0
  } else if (line._tag === "Skipped") {
    plan.files.skipped += 1
  } else {
    plan.files.failed += 1
  }
}
