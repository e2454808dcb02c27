/**
 * Output files that flags name. They are checked before the command begins, so that an hour's upload does not end with
 * a report that cannot be written.
 *
 * Only their owner can read them, and they get their names when they are complete. Until then they have an
 * unpredictable name and follow no link that somebody has planted. A link at the name itself is followed if it belongs
 * to this user or to root.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as CliError from "../CliError.js"

/** Fails if the file could not be written. Creates nothing, and leaves an existing file unchanged. */
export const check = Effect.fnUntraced(
  function*(flag: string, file: string): Effect.fn.Return<void, CliError.CliError> {
    const stat = yield* Effect.option(Effect.tryPromise(() => fs.stat(file)))
    if (Option.isSome(stat) && stat.value.isDirectory()) return yield* cannotWrite(flag, file, { code: "EISDIR" })
    yield* Effect.tryPromise({
      try: () => fs.access(Option.isSome(stat) ? file : path.dirname(path.resolve(file)), constants.W_OK),
      catch: (cause) => cannotWrite(flag, file, cause)
    })
  }
)

/**
 * Removes the file of an earlier run, so that it is not mistaken for this run's if this run ends before writing its
 * own.
 */
export const clear = Effect.fnUntraced(
  function*(flag: string, file: string): Effect.fn.Return<void, CliError.CliError> {
    const stat = yield* Effect.option(Effect.tryPromise(() => fs.lstat(file)))
    if (!Option.exists(stat, (it) => it.isFile())) return
    yield* Effect.tryPromise({ try: () => fs.rm(file), catch: (cause) => cannotWrite(flag, file, cause) })
  }
)

/** A file that does not have its name yet. */
export interface Opened {
  readonly handle: fs.FileHandle
  /** Closes the file and gives it its name. Without this the file is removed when the scope closes. */
  readonly commit: Effect.Effect<void, CliError.CliError>
}

/** Opens a file that will replace another. What cannot be replaced, such as a pipe, is written to directly. */
export const open = Effect.fnUntraced(
  function*(flag: string, file: string): Effect.fn.Return<Opened, CliError.CliError, Scope.Scope> {
    const failing = <A>(call: () => Promise<A>) =>
      Effect.tryPromise({ try: call, catch: (cause) => cannotWrite(flag, file, cause) })
    let temporary: string | undefined = undefined
    const { handle, target } = yield* Effect.acquireRelease(
      failing(async () => {
        const target = await targetOf(file)
        const there = await fs.stat(target).catch(() => undefined)
        if (there !== undefined && !there.isFile()) return { handle: await fs.open(target, "w"), target }
        const beside = path.join(path.dirname(path.resolve(target)), `.sluice-${randomBytes(16).toString("hex")}.tmp`)
        try {
          const handle = await fs.open(beside, "wx", 0o600)
          temporary = beside
          return { handle, target }
        } catch (error) {
          // A user may be allowed to write to a file but not to its directory.
          if (there === undefined) throw error
          return { handle: await fs.open(target, inPlace), target }
        }
      }),
      ({ handle }) =>
        Effect.promise(async () => {
          await handle.close().catch(() => {})
          if (temporary !== undefined) await fs.rm(temporary, { force: true }).catch(() => {})
        })
    )
    return {
      handle,
      commit: failing(async () => {
        await handle.close()
        if (temporary === undefined) return
        await fs.rename(temporary, target)
        temporary = undefined
      })
    }
  }
)

/** Writes a whole file. */
export const write = (flag: string, file: string, text: string): Effect.Effect<void, CliError.CliError> =>
  Effect.scoped(Effect.gen(function*() {
    const { commit, handle } = yield* open(flag, file)
    yield* Effect.tryPromise({ try: () => handle.writeFile(text), catch: (cause) => cannotWrite(flag, file, cause) })
    yield* commit
  }))

/** The error for a file that a flag names and that cannot be written. */
export const cannotWrite = (flag: string, file: string, cause: unknown): CliError.CliError =>
  CliError.usage(`${flag}: ${JSON.stringify(file)} ${CliError.whyNotWritten(cause)}. Name a file that can be written.`)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

// Flags that Windows lacks have no meaning there.
const inPlace = constants.O_WRONLY | constants.O_TRUNC | (constants.O_NOFOLLOW ?? 0)

/** The final path of a file: the target of a link that belongs to this user; any other link is replaced. */
const targetOf = async (file: string): Promise<string> => {
  const stat = await fs.lstat(file).catch(() => undefined)
  if (stat?.isSymbolicLink() !== true) return file
  const isTrusted = process.getuid === undefined || stat.uid === process.getuid() || stat.uid === 0
  return isTrusted ? await fs.realpath(file).catch(() => file) : file
}
