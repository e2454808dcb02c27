#!/usr/bin/env node
/**
 * Loads the command. It consists of several files, which are read at the same time; if the process may not open enough
 * files for that, this module says so.
 */
import * as OpenFiles from "./OpenFiles.js"

import("./main.js").catch((cause: unknown) => {
  const problem = OpenFiles.problemOf(cause)
  if (problem === undefined) throw cause
  process.stderr.write(`sluice: ${problem}\n`)
  process.exitCode = OpenFiles.exitCode
})
