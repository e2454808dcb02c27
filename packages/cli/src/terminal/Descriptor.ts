/**
 * What standard input and output are: files, pipes, terminals.
 */
import * as Option from "effect/Option"
import * as fs from "node:fs"

/**
 * What a descriptor leads to, where it is open.
 *
 * With `bigint`, since a plain `fs.fstatSync` fills a buffer that Node's `realpath` reads too: after that of a pipe, Node
 * 20 takes links on the way to a module for what they lead to, and the modules of AWS do not find each other.
 */
export const stat = (descriptor: number): Option.Option<fs.BigIntStats> =>
  Option.liftThrowable(() => fs.fstatSync(descriptor, { bigint: true }))()
