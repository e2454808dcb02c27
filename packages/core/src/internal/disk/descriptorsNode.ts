/**
 * The descriptors of this process: how many it may have, and the real locations of its open files.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { bigint, call } from "../calls/callNode.js"
import type { Failure } from "../calls/callNode.js"

/** The directory of a process's descriptors on Linux. */
const descriptors = "/proc/self/fd"

/** How many files and connections this process may have open at once: on Linux its soft limit, elsewhere 1,024. */
export const mostOpen = (): number => {
  const found = /^Max open files\s+(\d+|unlimited)/m.exec(textOf("/proc/self/limits"))?.[1]
  return found === undefined ? assumed : found === "unlimited" ? Infinity : Number(found)
}

/** How many more files and connections this process may open. */
export const leftToOpen = (): number => Math.max(0, mostOpen() - openNow())

/** The path by which Linux reaches an open file or directory, whatever happens to its name. */
export const pathOf = (descriptor: number): string => `${descriptors}/${descriptor}`

/** Whether descriptors have paths on this system. */
export const arePaths: boolean = process.platform === "linux" && fs.existsSync(descriptors)

/**
 * The flag to open something only to identify it, on Linux: it need not be readable, and opening it does not affect
 * pipes and devices.
 */
export const lookOnly = 0o1000_0000

/** The real path of an open file or directory, without links. If it was removed, the path that it had. */
export const whereIs = (descriptor: number, filePath: string): Effect.Effect<string, Failure> =>
  arePaths
    ? call<string>((done) => fs.readlink(pathOf(descriptor), done))
    : Effect.zipWith(
      call<fs.BigIntStats>((done) => fs.fstat(descriptor, bigint, done)),
      Effect.zip(
        call<string>((done) => fs.realpath.native(filePath, done)),
        call<fs.BigIntStats>((done) => fs.stat(filePath, bigint, done))
      ),
      (opened, [real, named]) => opened.dev === named.dev && opened.ino === named.ino ? real : ""
    )

/** Whether a real path is a directory or is inside it. */
export const isInside = (directory: string, real: string): boolean =>
  real === directory || real.startsWith(directory.endsWith(path.sep) ? directory : directory + path.sep)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const assumed = 1024

/** The number of descriptors that a new process has open. */
const openAtFirst = 24

const openNow = (): number => {
  try {
    return fs.readdirSync(descriptors).length
  } catch {
    return openAtFirst
  }
}

const textOf = (file: string): string => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return ""
  }
}
