/**
 * The journals of this user: one for each source and destination, in the platform's directory for state.
 */
import type { Journal, JournalError } from "@sluice/core/Journal"
import * as JournalNode from "@sluice/core/JournalNode"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as crypto from "node:crypto"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as CliError from "./CliError.js"
import { Output } from "./Output.js"

/** What a journal is for. */
export interface Subject {
  /** Absolute paths. */
  readonly sources: ReadonlyArray<string>
  readonly destination: string
}

/** Where journals are: `$XDG_STATE_HOME/sluice`, or what the platform has in its place. */
export const home = (environment: NodeJS.ProcessEnv = process.env, platform: NodeJS.Platform = process.platform) => {
  const { LOCALAPPDATA, XDG_STATE_HOME } = environment
  if (XDG_STATE_HOME !== undefined && path.isAbsolute(XDG_STATE_HOME)) return path.join(XDG_STATE_HOME, "sluice")
  if (platform === "win32") return path.join(LOCALAPPDATA ?? path.join(os.homedir(), "AppData", "Local"), "sluice")
  return platform === "darwin"
    ? path.join(os.homedir(), "Library", "Application Support", "sluice")
    : path.join(os.homedir(), ".local", "state", "sluice")
}

/** The journal's own directory, where the user has not named one. */
export const directoryOf = (subject: Subject): string => {
  const hash = crypto.createHash("sha256").update(JSON.stringify([subject.sources, subject.destination])).digest("hex")
  return path.join(home(), hash.slice(0, 32))
}

/** All directories below `home` that hold a journal. */
export const directories: Effect.Effect<ReadonlyArray<string>> = Effect.promise(async () => {
  const names = await fs.readdir(home()).catch(() => [])
  const found = await Promise.all(
    names.sort().map(async (name) => {
      const directory = path.join(home(), name)
      return await fs.lstat(path.join(directory, "journal")).then(() => [directory], () => [])
    })
  )
  return found.flat()
})

/**
 * Removes a journal that has nothing to say any more, whose lock the caller holds and gives back afterwards. Its
 * directory goes too, unless there is something else in it, once the lock is given back: see `removeDirectory`.
 */
export const removeFile = (directory: string): Effect.Effect<void> =>
  Effect.promise(() => fs.rm(path.join(directory, "journal"), { force: true }).catch(() => {}))

/** Removes the directory of a journal that was removed, if nothing else is in it. */
export const removeDirectory = (directory: string): Effect.Effect<void> =>
  Effect.promise(() => fs.rmdir(directory).catch(() => {}))

/**
 * The journal of an upload. One that another process is using, or that is another destination's, is no journal to go on
 * without; a place of our own choosing that cannot be written to is, with a warning.
 */
export const open = (
  subject: Subject,
  options: { readonly directory: string | undefined; readonly fsync: boolean }
): Effect.Effect<Option.Option<Journal["Type"]>, CliError.CliError, Output | Scope.Scope> =>
  JournalNode.make({
    directory: options.directory ?? directoryOf(subject),
    destination: subject.destination,
    source: subject.sources.join(", "),
    fsync: options.fsync
  }).pipe(
    Effect.asSome,
    Effect.catchAll((error) =>
      options.directory === undefined && error.reason === "Unusable"
        ? Effect.as(warn(error), Option.none())
        : Effect.fail(unusable(error))
    )
  )

/** What a journal that cannot be opened means for a command, and what can be done. */
export const unusable = (error: JournalError, remedy: "wait" | "another" = "another"): CliError.CliError =>
  CliError.journalUnusable(
    error.reason === "Locked"
      ? `${error.message} Wait for it to end${
        remedy === "wait" ? "." : ", or give this upload a journal of its own with --journal DIR."
      }`
      : error.message
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const warn = (error: JournalError): Effect.Effect<void, never, Output> =>
  Effect.flatMap(
    Output,
    ({ stderr }) =>
      stderr.write(`sluice: going on without a journal: a crash would mean to begin again. ${error.message}\n`)
  )
