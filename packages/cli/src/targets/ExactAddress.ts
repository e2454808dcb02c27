/**
 * Addresses of one object, such as those that are signed for it: one file goes there, and nothing else.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import * as CliError from "../CliError.js"
import * as Targets from "./Targets.js"

/** Fails where more than one file, or a directory, would go to the address of one object. */
export const check = (
  target: Targets.Target,
  { filesFrom, sources }: { readonly sources: ReadonlyArray<string>; readonly filesFrom: string | undefined }
): Effect.Effect<void, CliError.CliError> => {
  const [source] = sources
  if (!Targets.isExact(target)) return Effect.void
  // A source that is not there is told of by who looks for it. Without one it is standard input.
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
        } has a query, and so is the address of one object: it takes one file. For more, write ` +
          "{key} where the key of each belongs, such as https://host/path/{key}?…"
      )
  )
}
