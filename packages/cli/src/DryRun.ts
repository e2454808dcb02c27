/**
 * What an upload would send: a line for each file on standard output, its key and its size in bytes with a tab between
 * them, and a summary on standard error. Nothing is sent or written, and the destination is not asked.
 */
import * as UploadError from "@sluice/core/UploadError"
import * as UploadList from "@sluice/core/UploadList"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { CliError } from "./CliError.js"
import * as Format from "./Format.js"
import { Output } from "./Output.js"
import * as Report from "./Report.js"
import type { Sources } from "./Sources.js"
import { printable } from "./TerminalText.js"

/** The version that the lines of `--json` carry. */
const version = 1

/** Prints what would be uploaded. Fails with `SomeFailed` where something cannot be read. */
export const print = (
  sources: Sources,
  options: { readonly json: boolean; readonly quiet: boolean }
): Effect.Effect<void, CliError, Output> =>
  Effect.gen(function*() {
    const { stderr, stdout } = yield* Output
    const items = Stream.StreamTypeId in sources.items ? sources.items : Stream.fromIterable(sources.items)
    const findings = new Report.Tally()
    const counts = { files: 0, bytes: 0, skipped: 0, failed: 0 }
    // A person's terminal is not at the mercy of file names; a program gets them as they are.
    const shown = stdout.isTerminal ? printable : (text: string) => text

    const lineOf = (item: UploadList.Item): ReadonlyArray<string> => {
      if (UploadList.isFile(item)) {
        const { key, size = 0 } = item
        counts.files += 1
        counts.bytes += size
        return [options.json ? JSON.stringify({ _tag: "Planned", version, key, size }) : `${shown(key)}\t${size}`]
      }
      findings.add(item)
      if (item._tag === "Skipped") {
        counts.skipped += 1
        return options.json
          ? [JSON.stringify({ _tag: "Skipped", version, key: item.file.key, reason: item.reason })]
          : []
      }
      counts.failed += 1
      const { error, file: { key } } = item
      return options.json
        ? [JSON.stringify({ _tag: "Failed", version, key, error: UploadError.summarize(error) })]
        : []
    }

    yield* items.pipe(
      Stream.chunks,
      Stream.takeWhile(() => !stdout.closed()),
      Stream.runForEach((chunk) => {
        const failures = Chunk.toReadonlyArray(chunk).flatMap((item) =>
          !UploadList.isFile(item) && item._tag === "Failed"
            ? [stderr.style.red(`Failed ${Report.failureLine(item.file.key, item.error.message, 0)}`)]
            : []
        )
        const room = Math.max(0, Report.failuresShown - counts.failed)
        const lines = Chunk.toReadonlyArray(chunk).flatMap(lineOf)
        return Effect.zipRight(
          lines.length === 0 ? Effect.void : stdout.write(`${lines.join("\n")}\n`),
          failures.length === 0 || room === 0 ? Effect.void : stderr.write(`${failures.slice(0, room).join("\n")}\n`)
        )
      })
    )
    if (options.json) {
      const files = { total: counts.files + counts.skipped + counts.failed, planned: counts.files }
      yield* stdout.write(`${
        JSON.stringify({
          _tag: "Plan",
          version,
          files: { ...files, skipped: counts.skipped, failed: counts.failed },
          bytes: { total: counts.bytes }
        })
      }\n`)
    }
    if (!options.quiet || counts.failed > 0) {
      const others = [
        ...(counts.skipped > 0 ? [`${Format.count(counts.skipped)} would be skipped`] : []),
        ...(counts.failed > 0 ? [`${Format.count(counts.failed)} cannot be read`] : [])
      ]
      yield* stderr.write(
        `${
          [`Would upload ${Format.counted(counts.files, "file")}, ${Format.bytes(counts.bytes)}`, ...others].join(", ")
        }. Nothing was sent.\n`
      )
    }
    if (counts.failed > 0) return yield* new CliError({ reason: "SomeFailed" })
  })
