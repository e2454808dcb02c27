/**
 * The journals of this user: one for each source and destination, in the platform's state directory.
 */
import type { Immediate, JournalError } from "@sluice/core/Journal"
import * as JournalNode from "@sluice/core/JournalNode"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as crypto from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as CliError from "../CliError.js"
import { Output, writeLines } from "../terminal/Output.js"
import { printable } from "../terminal/TerminalText.js"
import * as UserHome from "../UserHome.js"

/** The subject of a journal. */
export interface Subject {
  /** Absolute paths. */
  readonly sources: ReadonlyArray<string>
  readonly destination: string
}

/**
 * The directory of all journals: `$XDG_STATE_HOME/sluice` or its equivalent. None for users without a home directory.
 */
export const home = (
  environment: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform
): Option.Option<string> => {
  const { LOCALAPPDATA, XDG_STATE_HOME } = environment
  const below = (...names: ReadonlyArray<string>) =>
    Option.map(UserHome.find(environment), (home) => path.join(home, ...names, "sluice"))
  const absolute = (directory: string | undefined) =>
    Option.map(
      Option.filter(Option.fromNullable(directory), (directory) => path.isAbsolute(directory)),
      (directory) => path.join(directory, "sluice")
    )
  return Option.orElse(absolute(XDG_STATE_HOME), () =>
    platform === "win32"
      ? Option.orElse(absolute(LOCALAPPDATA), () => below("AppData", "Local"))
      : platform === "darwin"
      ? below("Library", "Application Support")
      : below(".local", "state"))
}

/** The directory of a journal for which the user has not named one. */
export const directoryOf = (subject: Subject): Option.Option<string> => {
  const hash = crypto.createHash("sha256").update(JSON.stringify([subject.sources, subject.destination])).digest("hex")
  return Option.map(home(), (home) => path.join(home, hash.slice(0, 32)))
}

/** All directories below `home` that contain a journal. */
export const directories: Effect.Effect<ReadonlyArray<string>> = Effect.suspend(() =>
  Option.match(home(), {
    onNone: () => Effect.succeed([]),
    onSome: (home) =>
      Effect.promise(async () => {
        const names = await fs.readdir(home).catch(() => [])
        const found = await Promise.all(
          names.sort().map(async (name) => {
            const directory = path.join(home, name)
            return await fs.lstat(path.join(directory, "journal")).then(() => [directory], () => [])
          })
        )
        return found.flat()
      })
  })
)

/** Removes the directory of a journal, unless it contains something: the journal itself, or its lock. */
export const removeDirectory = (directory: string): Effect.Effect<void> =>
  Effect.promise(() => fs.rmdir(directory).catch(() => {}))

/**
 * Opens the journal of an upload. Fails if another process is using it or it belongs to another destination. If the
 * default directory cannot be written to, it warns and continues without a journal. In the default directory, a run
 * that had nothing to keep leaves nothing behind.
 */
export const open = (
  subject: Subject,
  options: { readonly directory: string | undefined; readonly fsync: boolean }
): Effect.Effect<Option.Option<Immediate>, CliError.CliError, Output | Scope.Scope> =>
  Option.match(Option.orElse(Option.fromNullable(options.directory), () => directoryOf(subject)), {
    onNone: () => Effect.as(warn(noHome), Option.none()),
    onSome: (directory) => {
      // There is a default directory for each source and destination; a user's own directory may belong to any of them.
      const isOwn = options.directory === undefined
      const made = JournalNode.make({
        directory,
        destination: subject.destination,
        source: subject.sources.join(", "),
        fsync: options.fsync,
        removeWhenEmpty: isOwn
      })
      const swept = isOwn ? Effect.addFinalizer(() => removeDirectory(directory)) : Effect.void
      return Effect.zipRight(swept, made).pipe(
        Effect.asSome,
        Effect.catchAll((error) =>
          isOwn && error.reason === "Unusable"
            ? Effect.as(warn(error.message), Option.none())
            : Effect.fail(unusable(error))
        )
      )
    }
  })

/** The error for a journal that cannot be opened, and what to do about it. */
export const unusable = (error: JournalError, remedy: "wait" | "another" = "another"): CliError.CliError =>
  CliError.journalUnusable(
    error.reason === "Locked"
      ? `${error.message} Wait for it to end${
        remedy === "wait" ? "." : ", or give this upload its own journal with --journal DIR."
      }`
      : error.message
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const noHome = "There is no home directory for it. Name a directory with --journal DIR."

const warn = (why: string): Effect.Effect<void, never, Output> =>
  Effect.flatMap(
    Output,
    ({ stderr }) =>
      writeLines(stderr, [
        `sluice: continuing without a journal: after a crash, everything would start over. ${printable(why)}`
      ])
  )
