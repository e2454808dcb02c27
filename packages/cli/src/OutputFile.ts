/**
 * Files that flags name, for what a command writes beside its work: they are looked at before it begins, so that
 * nobody learns after an hour's upload that its report has nowhere to go.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as CliError from "./CliError.js"

/** Fails where the file could not be written. Nothing is made, and what is there is left as it is. */
export const check = (flag: string, file: string): Effect.Effect<void, CliError.CliError> =>
  Effect.gen(function*() {
    const stat = yield* Effect.option(Effect.tryPromise(() => fs.stat(file)))
    if (Option.isSome(stat) && stat.value.isDirectory()) return yield* cannotWrite(flag, file, { code: "EISDIR" })
    const written = Option.isSome(stat) ? file : path.dirname(path.resolve(file))
    yield* Effect.tryPromise({
      try: () => fs.access(written, fs.constants.W_OK),
      catch: (cause) => cannotWrite(flag, file, cause)
    })
  })

/** Writes a file, whole. */
export const write = (flag: string, file: string, text: string): Effect.Effect<void, CliError.CliError> =>
  Effect.tryPromise({ try: () => fs.writeFile(file, text), catch: (cause) => cannotWrite(flag, file, cause) })

/** Why a file that a flag names could not be written. */
export const cannotWrite = (flag: string, file: string, cause: unknown): CliError.CliError =>
  CliError.usage(`${flag}: ${JSON.stringify(file)} ${CliError.whyNotWritten(cause)}. It takes a file to write to.`)
