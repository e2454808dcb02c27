/**
 * Addresses of one object, such as signed ones: they take exactly one file.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as CliError from "../CliError.js"
import * as Targets from "./Targets.js"

/** Fails if a directory, or more than one file, would go to the address of one object. */
export const check = (
  target: Targets.Target,
  { filesFrom, sources }: { readonly sources: ReadonlyArray<string>; readonly filesFrom: string | undefined }
): Effect.Effect<void, CliError.CliError> => {
  const [source] = sources
  if (!Targets.isExact(target)) return Effect.void
  // Whoever opens a missing source reports it. Without a source it is standard input.
  const isDirectory = source === undefined ? Effect.succeed(false) : Effect.orElseSucceed(
    Effect.tryPromise(async () => (await fs.stat(source)).isDirectory()),
    () => false
  )
  return Effect.flatMap(
    isDirectory,
    (isDirectory) =>
      filesFrom === undefined && sources.length <= 1 && !isDirectory ? Effect.void : CliError.usage(
        `${
          Targets.nameOf(target)
        } has a query, so it is the address of one object and takes one file. For more files, put ` +
          "{key} where the key of each file belongs, as in https://host/path/{key}?…"
      )
  )
}
