/**
 * Files that several flags name: one would overwrite what the other has written, so they have to be different ones.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import * as CliError from "../CliError.js"
import * as Descriptor from "./Descriptor.js"

/** A file that a flag names, to be written or read. */
export interface Named {
  readonly flag: string
  readonly file: string | undefined
}

/**
 * Fails where two flags name the same file, by whatever name, and where one of them names standard output, which has
 * lines of its own.
 */
export const check = (
  named: ReadonlyArray<Named>,
  options: { readonly printsLines: boolean }
): Effect.Effect<void, CliError.CliError> =>
  Effect.gen(function*() {
    const seen = new Map<string, Named>()
    for (const one of named) {
      if (one.file === undefined) continue
      if (one.file === "-") {
        return yield* CliError.usage(
          `${one.flag}: "-" is not standard output here: it takes a file. A file of that name is written ./-.`
        )
      }
      const identity = yield* identityOf(one.file)
      if (identity === undefined) continue
      const other = seen.get(identity)
      if (other !== undefined) {
        return yield* CliError.usage(
          `${other.flag} and ${one.flag} both name ${JSON.stringify(one.file)}: one would overwrite the other.`
        )
      }
      seen.set(identity, one)
      if (options.printsLines && identity === (yield* identityOfOutput)) {
        return yield* CliError.usage(
          `${one.flag}: ${JSON.stringify(one.file)} is standard output, which has the events.`
        )
      }
    }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const nameOf = ({ dev, ino }: fs.BigIntStats): string => `${dev}:${ino}`

/**
 * What a file is, whatever it is called; of one that is not there yet, its directory and its name. What is no file, such
 * as /dev/null or a pipe, takes from everybody.
 */
const identityOf = (file: string): Effect.Effect<string | undefined> => {
  const absolute = path.resolve(file)
  return Effect.orElse(
    Effect.tryPromise(async () => {
      const stat = await fs.promises.stat(absolute, { bigint: true })
      return stat.isFile() ? nameOf(stat) : undefined
    }),
    () =>
      Effect.orElseSucceed(
        Effect.tryPromise(async () =>
          `${nameOf(await fs.promises.stat(path.dirname(absolute), { bigint: true }))}/${path.basename(absolute)}`
        ),
        () => absolute
      )
  )
}

/** Standard output, where it is a file; a pipe or a terminal takes lines from everybody. */
const identityOfOutput: Effect.Effect<string | undefined> = Effect.sync(() =>
  Descriptor.stat(process.stdout.fd).pipe(
    Option.filter((stat) => stat.isFile()),
    Option.map(nameOf),
    Option.getOrUndefined
  )
)
