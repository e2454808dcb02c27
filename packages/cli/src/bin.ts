#!/usr/bin/env node
/**
 * Loads the command. It is several files, which are read at once: where this process may have too few open for that, it
 * says so.
 */
import * as OpenFiles from "./OpenFiles.js"

import("./main.js").catch((cause: unknown) => {
  const problem = OpenFiles.problemOf(cause)
  if (problem === undefined) throw cause
  process.stderr.write(`sluice: ${problem}\n`)
  process.exitCode = OpenFiles.exitCode
})
