/**
 * The message for when no more files can be opened. This module imports nothing, so that it works even if nothing else
 * can be loaded.
 */

/** The exit code when the command cannot open enough files: nothing else is known to be wrong. */
export const exitCode = 1

/** What is wrong and what to do about it, if an error or one of its causes is due to too many open files. */
export const problemOf = (cause: unknown): string | undefined => {
  for (let at = cause, depth = 0; depth < 8 && typeof at === "object" && at !== null; depth++) {
    const { cause, code } = at as { readonly cause?: unknown; readonly code?: unknown }
    if (code === "EMFILE") return ofProcess
    if (code === "ENFILE") return ofSystem
    at = cause
  }
  return undefined
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const ofProcess =
  "This process may not open enough files at once. Raise the limit, for example with ulimit -n 1024, and run it again."

const ofSystem = "This machine cannot open any more files. End a program that has many files open, and run it again."
