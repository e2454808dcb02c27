/**
 * Manifests list the files that a run did not finish, so that another run can upload just these.
 *
 * A manifest consists of lines of JSON. The first is `{"_tag":"Manifest","version":1}`; each other line names a file by
 * its absolute path and its key: `{"_tag":"Failed","path":"/home/me/a.jpg","key":"a.jpg","error":{…}}`. An entry whose
 * key ends with `/` is a directory that could not be read.
 *
 * A manifest is written during the run, under a temporary name, and gets its own name at the end: a run may read the
 * very manifest that it replaces, and one that is killed leaves the old one unchanged. Only its owner can read it.
 */
import { summarize, Summary } from "@sluice/core/UploadError"
import type { UploadFile } from "@sluice/core/UploadFile"
import * as UploadList from "@sluice/core/UploadList"
import type { UploadResult } from "@sluice/core/UploadResult"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as CliError from "../CliError.js"
import * as OutputFile from "../terminal/OutputFile.js"
import type { OwnFiles } from "./OwnFiles.js"
import type { Locations } from "./Sources.js"

/** The version that is written, and the only one that is read. */
export const version = 1

/** The first line of a manifest. */
export const Header = Schema.TaggedStruct("Manifest", { version: Schema.Number })

/** A file or a directory that is not at the destination. */
export const Entry = Schema.Struct({
  _tag: Schema.Literal("Failed", "Interrupted", "NotStarted"),
  path: Schema.String,
  key: Schema.String,
  error: Schema.optional(Summary)
})

export type Entry = typeof Entry.Type

/** Parses the first line of a manifest. */
export const parseHeader: (line: string) => Option.Option<typeof Header.Type> = Schema.decodeOption(
  Schema.parseJson(Header)
)

/** Parses a line as an entry. */
export const parseEntry: (line: string) => Option.Option<Entry> = Schema.decodeOption(Schema.parseJson(Entry))

/** A manifest that is being written. */
export interface Writer {
  /** Records a result, unless it is a success. */
  readonly add: (result: UploadResult) => Effect.Effect<void>
  /** Records an item that was not begun. */
  readonly addNotStarted: (item: UploadList.Item) => Effect.Effect<void>
  /** Gives the manifest its name. */
  readonly commit: Effect.Effect<void, CliError.CliError>
}

/** Opens a manifest for writing. Without `commit` it is removed when the scope closes. */
export const write = Effect.fnUntraced(
  function*(
    file: string,
    locations: Locations,
    own: Pick<OwnFiles, "addOpen">
  ): Effect.fn.Return<Writer, CliError.CliError, Scope.Scope> {
    const opened = yield* OutputFile.open("--failed", file)
    yield* own.addOpen(opened.handle.fd)
    const stream = yield* Effect.acquireRelease(
      Effect.sync(() => opened.handle.createWriteStream()),
      (stream) => Effect.sync(() => stream.destroy())
    )
    const writable = Effect.unsafeMakeLatch(true)
    let failure: unknown = undefined
    stream.on("drain", () => writable.unsafeOpen())
    stream.on("error", (cause) => {
      failure ??= cause
      writable.unsafeOpen()
    })
    const writeLine = (line: object): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (failure !== undefined || stream.write(`${JSON.stringify(line)}\n`)) return Effect.void
        writable.unsafeClose()
        return writable.await
      })
    yield* writeLine(Header.make({ version }))
    const add = (result: UploadResult | NotStarted) => {
      const entry = entryOf(result, locations)
      return entry === undefined ? Effect.void : writeLine(entry)
    }
    return {
      add,
      addNotStarted: (item) => add(UploadList.isFile(item) ? { _tag: "NotStarted", file: item } : item),
      commit: Effect.zipRight(
        Effect.tryPromise({
          try: () =>
            new Promise<void>((resolve, reject) => {
              stream.on("error", reject).end(resolve)
              if (failure !== undefined) reject(failure)
            }),
          catch: (cause) => OutputFile.cannotWrite("--failed", file, cause)
        }),
        opened.commit
      )
    }
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface NotStarted {
  readonly _tag: "NotStarted"
  readonly file: UploadFile
}

const entryOf = (result: UploadResult | NotStarted, locations: Locations): Entry | undefined => {
  const path = locations.of(result.file)
  if (path === undefined) return undefined
  switch (result._tag) {
    case "Failed":
      return { _tag: "Failed", path, key: result.file.key, error: summarize(result.error) }
    case "Interrupted":
    case "NotStarted":
      return { _tag: result._tag, path, key: result.file.key }
    case "Uploaded":
    case "Skipped":
      return undefined
  }
}
