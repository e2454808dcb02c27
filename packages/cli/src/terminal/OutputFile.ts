/**
 * Files that flags name, for what a command writes beside its work: they are looked at before it begins, so that
 * nobody learns after an hour's upload that its report has nowhere to go.
 *
 * They are for their owner only, and take their names when they are whole: until then they have a name that nobody can
 * foresee, and follow no link that somebody has planted. A link under the name itself is followed where it is this
 * user's own, or root's.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as CliError from "../CliError.js"

/** Fails where the file could not be written. Nothing is made, and what is there is left as it is. */
export const check = (flag: string, file: string): Effect.Effect<void, CliError.CliError> =>
  Effect.gen(function*() {
    const stat = yield* Effect.option(Effect.tryPromise(() => fs.stat(file)))
    if (Option.isSome(stat) && stat.value.isDirectory()) return yield* cannotWrite(flag, file, { code: "EISDIR" })
    yield* Effect.tryPromise({
      try: () => fs.access(Option.isSome(stat) ? file : path.dirname(path.resolve(file)), constants.W_OK),
      catch: (cause) => cannotWrite(flag, file, cause)
    })
  })

/** Removes what an earlier run has written: should this one end before it writes its own, nobody takes that for it. */
export const clear = (flag: string, file: string): Effect.Effect<void, CliError.CliError> =>
  Effect.gen(function*() {
    const stat = yield* Effect.option(Effect.tryPromise(() => fs.lstat(file)))
    if (!Option.exists(stat, (it) => it.isFile())) return
    yield* Effect.tryPromise({ try: () => fs.rm(file), catch: (cause) => cannotWrite(flag, file, cause) })
  })

/** A file on its way to its name. */
export interface Opened {
  readonly handle: fs.FileHandle
  /** Closes it, and gives it its name. Without it nothing is left of it when the scope ends. */
  readonly commit: Effect.Effect<void, CliError.CliError>
}

/** Opens a file that takes the place of another. What cannot be replaced, such as a pipe, is written to as it is. */
export const open = (flag: string, file: string): Effect.Effect<Opened, CliError.CliError, Scope.Scope> =>
  Effect.gen(function*() {
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
          // Some may write to a file in a directory that they may not write to.
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
  })

/** Writes a file, whole. */
export const write = (flag: string, file: string, text: string): Effect.Effect<void, CliError.CliError> =>
  Effect.scoped(Effect.gen(function*() {
    const { commit, handle } = yield* open(flag, file)
    yield* Effect.tryPromise({ try: () => handle.writeFile(text), catch: (cause) => cannotWrite(flag, file, cause) })
    yield* commit
  }))

/** Why a file that a flag names could not be written. */
export const cannotWrite = (flag: string, file: string, cause: unknown): CliError.CliError =>
  CliError.usage(`${flag}: ${JSON.stringify(file)} ${CliError.whyNotWritten(cause)}. It takes a file to write to.`)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

// What is missing on Windows has no meaning there.
const inPlace = constants.O_WRONLY | constants.O_TRUNC | (constants.O_NOFOLLOW ?? 0)

/** Where a file is to be: where a link leads that is this user's own, and in the place of any other. */
const targetOf = async (file: string): Promise<string> => {
  const stat = await fs.lstat(file).catch(() => undefined)
  if (stat?.isSymbolicLink() !== true) return file
  const isTrusted = process.getuid === undefined || stat.uid === process.getuid() || stat.uid === 0
  return isTrusted ? await fs.realpath(file).catch(() => file) : file
}
