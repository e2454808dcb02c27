/**
 * What to say where no more files can be opened. It imports nothing, so that it can be said where nothing else can be
 * loaded.
 */

/** The exit code where the command cannot go on for want of open files: nothing else is known to be wrong. */
export const exitCode = 1

/** What is wrong and what to do, where that is why something failed: for an error, or for what caused it. */
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
  "Too few files may be open at once in this process. Allow more, such as with ulimit -n 1024, and run it again."

const ofSystem =
  "This machine has as many files open as it can have. End something that has many open, and run it again."
