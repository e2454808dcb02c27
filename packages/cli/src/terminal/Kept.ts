/**
 * What is said of large files that are stored in part when a run is stopped: what is kept of them, and of which nothing is.
 */
import * as Targets from "../targets/Targets.js"
import * as Format from "./Format.js"
import * as ShellWord from "./ShellWord.js"

/** Of files of which there is something for the same command to go on with. */
export const stored = (files: number, bytes: number): string =>
  `Kept what is stored of ${Format.counted(files, "large file")}, ${
    Format.bytes(bytes)
  }: the same command goes on with ${files === 1 ? "it" : "them"}.`

/** Of files that were begun and have no part stored. */
export const nothing = (files: number): string =>
  `${Format.counted(files, "large file")} ${files === 1 ? "was" : "were"} begun, and no part is stored yet.`

/** The command that removes what is there of them. */
export const abortCommand = (destination: string, journal: string | undefined): string =>
  [
    "sluice uploads abort",
    // What is hidden cannot be typed again: without it, the command says what there is.
    ...(destination.endsWith(Targets.hiddenQuery) ? [] : [ShellWord.of(destination)]),
    ...(journal === undefined ? [] : ["--journal", ShellWord.of(journal)])
  ].join(" ")
