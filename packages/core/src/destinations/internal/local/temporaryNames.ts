/**
 * The names of files that are not whole yet. They are hidden, and stand beside their target, so that a rename within a
 * directory makes them visible under their own name.
 */

/** The name of a file that is written in one piece: the owner is a process, and `drawn` its number for the file. */
export const ofPiece = (owner: string, drawn: number): string => `.sluice-${owner}-${drawn}.part`

/** The owner of such a file, by its name; `undefined` if it is not one. */
export const ownerOf = (name: string): string | undefined => /^\.sluice-([0-9a-f]{32})-\d+\.part$/.exec(name)?.[1]

/** The name of a file that is written in parts. The upload id is its token. */
export const ofParts = (token: string): string => `.sluice-${token}.parts`

/** Whether a file is one that is written in parts, by its name. */
export const isOfParts = (name: string): boolean => /^\.sluice-[\w-]{8,64}\.parts$/.test(name)
