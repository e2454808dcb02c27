/**
 * Messages about large files that are partly stored when a run is stopped: how much of them is kept.
 */
import * as Targets from "../targets/Targets.js"
import * as Format from "./Format.js"
import * as ShellWord from "./ShellWord.js"

/** For files with stored parts, which the same command can continue. */
export const stored = (files: number, bytes: number): string =>
  `Kept the stored part of ${Format.counted(files, "large file")}, ${Format.bytes(bytes)}: the same command continues ${
    files === 1 ? "it" : "them"
  }.`

/** For files that were begun and have no part stored. */
export const nothing = (files: number): string =>
  `${Format.counted(files, "large file")} ${files === 1 ? "was" : "were"} begun, but no part is stored yet.`

/** The command that removes what is stored of them. */
export const abortCommand = (destination: string, journal: string | undefined): string =>
  [
    "sluice uploads abort",
    // A hidden address cannot be typed again. Without it, the command lists the uploads.
    ...(destination.endsWith(Targets.hiddenQuery) ? [] : [ShellWord.of(destination)]),
    ...(journal === undefined ? [] : ["--journal", ShellWord.of(journal)])
  ].join(" ")
