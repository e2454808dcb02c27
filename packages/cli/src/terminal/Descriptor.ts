/**
 * Tells whether standard input and output are files, pipes or terminals.
 */
import * as Option from "effect/Option"
import * as fs from "node:fs"

/**
 * The status of a descriptor, if it is open.
 *
 * Uses `bigint`, since a plain `fs.fstatSync` fills a buffer that Node's `realpath` reads too: after an `fstatSync` of
 * a pipe, Node 20 mistakes links on the way to a module for their targets, and the AWS modules cannot find each other.
 */
export const stat = (descriptor: number): Option.Option<fs.BigIntStats> =>
  Option.liftThrowable(() => fs.fstatSync(descriptor, { bigint: true }))()
