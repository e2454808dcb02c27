/**
 * Files without content, of any size, which take no space on a disk. They are removed with their scope.
 */
import * as FilesNode from "@sluice/core/FilesNode"
import type { UploadFile } from "@sluice/core/UploadFile"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** A temporary directory; in memory if `inMemory` is set and that is possible. */
export const directory = (options?: { readonly inMemory: boolean }): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const below = options?.inMemory === true && fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir()
      return fs.mkdtempSync(path.join(below, "sluice-bench-"))
    }),
    (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true }))
  )

/** The path of a file of zeros. */
export const filePath = (size: number): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(directory(), (made) => {
    const file = path.join(made, "zeros")
    fs.writeFileSync(file, "")
    fs.truncateSync(file, size)
    return file
  })

/** One file on the disk under many keys. */
export function* repeated(file: UploadFile, count: number): Generator<UploadFile> {
  for (let i = 0; i < count; i++) yield { ...file, key: `${(i % 100).toString(36)}/file-${i.toString(36)}` }
}

/** A file of zeros to upload. */
export const file = (size: number): Effect.Effect<UploadFile, never, Scope.Scope> =>
  Effect.flatMap(filePath(size), (zeros) => Effect.orDie(FilesNode.file(zeros)))
