/**
 * Files that a command writes or keeps while it reads its sources: the journals of this user, the files of `--report`,
 * `--failed` and `--locations`, and its output. They grow meanwhile, so they are not uploaded even if they are in a
 * source. They are recognized by device and inode, under any name or link.
 */
import type { Identity } from "@sluice/core/FilesNode"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { fstat } from "node:fs"
import * as fs from "node:fs/promises"
import * as Journals from "../journals/Journals.js"

export interface OwnFiles {
  /** Whether a file or directory belongs to them. */
  readonly has: (identity: Identity) => boolean
  /** Adds the file that has this name now, if there is one. */
  readonly add: (file: string) => Effect.Effect<void>
  /** Adds the journals of this user and the directory of another journal, if they exist. */
  readonly addJournals: (directory?: string) => Effect.Effect<void>
  /** Adds an open file. */
  readonly addOpen: (descriptor: number) => Effect.Effect<void>
}

/** The journals of this user and the files that output goes to. */
export const make: Effect.Effect<OwnFiles> = Effect.gen(function*() {
  const known = new Set<string>()
  const note = ({ dev, ino }: Identity) => {
    known.add(`${dev}:${ino}`)
  }
  const own: OwnFiles = {
    has: ({ dev, ino }) => known.size > 0 && known.has(`${dev}:${ino}`),
    add: (file) => Effect.ignore(Effect.map(Effect.tryPromise(() => fs.stat(file, { bigint: true })), note)),
    addJournals: (directory) =>
      Effect.forEach(
        [...Option.toArray(Journals.home()), ...(directory === undefined ? [] : [directory])],
        (directory) => own.add(directory),
        { discard: true }
      ),
    addOpen: (descriptor) =>
      Effect.async<void>((resume) => {
        fstat(descriptor, { bigint: true }, (error, stat) => {
          if (error === null && stat.isFile()) note(stat)
          resume(Effect.void)
        })
      })
  }
  yield* own.addJournals()
  yield* Effect.forEach([1, 2], own.addOpen)
  return own
})
