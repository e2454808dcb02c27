#!/usr/bin/env node
/**
 * Loads the command. It consists of several files, which are read at the same time; if the limit on open files
 * is too low for that, this module reports it.
 */
import * as OpenFiles from "./OpenFiles.js"

import("./main.js").catch((cause: unknown) => {
  const problem = OpenFiles.problemOf(cause)
  if (problem === undefined) throw cause
  process.stderr.write(`sluice: ${problem}\n`)
  process.exitCode = OpenFiles.exitCode
})
