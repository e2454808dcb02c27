/**
 * Checks that the output files of several flags are different: otherwise one would overwrite the other.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import * as CliError from "../CliError.js"
import * as Descriptor from "./Descriptor.js"

/** A file that a flag names, for writing or reading. */
export interface Named {
  readonly flag: string
  readonly file: string | undefined
}

/**
 * Fails if two flags name the same file, under any name, or if one of them names standard output, which has its own
 * lines.
 */
export const check = Effect.fnUntraced(
  function*(
    named: ReadonlyArray<Named>,
    options: { readonly printsLines: boolean }
  ): Effect.fn.Return<void, CliError.CliError> {
    const seen = new Map<string, Named>()
    for (const one of named) {
      if (one.file === undefined) continue
      if (one.file === "-") {
        return yield* CliError.usage(
          `${one.flag}: it takes a file, and "-" is not one. Write ./- for a file of that name.`
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
          `${one.flag}: ${JSON.stringify(one.file)} is standard output, which gets the events.`
        )
      }
    }
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const nameOf = ({ dev, ino }: fs.BigIntStats): string => `${dev}:${ino}`

/**
 * The identity of a file, whatever its name; for a file that does not exist yet, its directory and its name. Anything
 * that is not a file, such as /dev/null or a pipe, can be shared.
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

/** Standard output, if it is a file; a pipe or a terminal can be shared. */
const identityOfOutput: Effect.Effect<string | undefined> = Effect.sync(() =>
  Descriptor.stat(process.stdout.fd).pipe(
    Option.filter((stat) => stat.isFile()),
    Option.map(nameOf),
    Option.getOrUndefined
  )
)
