/**
 * Files and directories on the local disk as files to upload. For Node.
 *
 * A directory is walked lazily, so a tree of any size costs memory for one directory's batch of names and for the
 * subdirectories still to come. Entries that cannot be uploaded are items too: links that are not followed and special
 * files become `Skipped`, directories that cannot be read become `Failed`. The content type follows from the key's
 * extension.
 *
 * However many uploads are in flight, at most {@link maxOpenFiles} source files are open at once in a process, and
 * fewer if the process may have few open; the others wait for a turn before they open theirs.
 *
 * Nothing outside the walked directory is read: if a directory in it is replaced by a link in the meantime, its files
 * fail. Files that are generated when read, such as those in `/proc`, have no known size.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import * as path from "node:path"
import { bigint } from "./internal/calls/callNode.js"
import * as Entry from "./internal/disk/entryNode.js"
import { call } from "./internal/disk/fileCallsNode.js"
import * as FileSource from "./internal/disk/fileSourceNode.js"
import * as OpenFiles from "./internal/disk/openFilesNode.js"
import * as QuickReads from "./internal/disk/quickReadsNode.js"
import { Walk } from "./internal/disk/walkNode.js"
import { SourceUnreadable } from "./UploadError.js"
import type * as UploadFile from "./UploadFile.js"
import type * as UploadList from "./UploadList.js"

/**
 * The most source files that are open at once in the whole process; a quarter of what the process may have open, if
 * that is less.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxOpenFiles: number = OpenFiles.maxOpenFiles

/**
 * A file on the disk in its current state. Links are followed. Fails if there is no such file or it is not a regular
 * file. Its key is its base name unless `key` says otherwise.
 *
 * @since 0.1.0
 * @category constructors
 */
export const file = (
  filePath: string,
  options: { readonly key?: string | undefined } = {}
): Effect.Effect<UploadFile.UploadFile, SourceUnreadable> =>
  call<fs.BigIntStats>(filePath, (done) => fs.stat(filePath, bigint, done)).pipe(
    Effect.filterOrFail(
      (stat) => stat.isFile(),
      (stat) =>
        new SourceUnreadable({
          reason: "Failed",
          detail: `${filePath} is ${stat.isDirectory() ? "a directory" : "not a regular file"}.`
        })
    ),
    Effect.tap((stat) => FileSource.sizeIsDoubtful(stat) ? QuickReads.of(stat.dev).isAsked(filePath) : Effect.void),
    Effect.map((stat) =>
      FileSource.fileOf(options.key ?? path.basename(filePath), filePath, stat, { followsLinks: true })
    )
  )

/**
 * Identifies a file or a directory, whatever name it is reached by.
 *
 * @since 0.1.0
 * @category models
 */
export interface Identity {
  readonly dev: bigint
  readonly ino: bigint
}

/**
 * @since 0.1.0
 * @category models
 */
export interface DirectoryOptions {
  /** Selects entries by key; an excluded directory is not entered. Defaults to everything. */
  readonly filter?: ((key: string, kind: "file" | "directory") => boolean) | undefined
  /**
   * Whether symbolic links are followed. A link that leads out of the directory, or back to a directory that contains
   * it, is skipped anyway. An entry with several names is uploaded under each. Defaults to `false`.
   */
  readonly followSymlinks?: boolean | undefined
  /**
   * Excludes entries by identity instead of key, such as files that are written while the directory is uploaded; an
   * excluded directory is not entered. Defaults to nothing.
   */
  readonly leaveOut?: ((identity: Identity) => boolean) | undefined
}

/**
 * All files below a directory, with keys relative to it and their permission bits. The stream fails only if the
 * directory itself cannot be read.
 *
 * @example
 * ```ts
 * import { Uploader } from "@sluice/core"
 * import * as FilesNode from "@sluice/core/FilesNode"
 * import { Effect } from "effect"
 *
 * const backup = Effect.flatMap(Uploader.Uploader, (uploader) =>
 *   uploader.uploadAll(FilesNode.directory("photos", { filter: (key) => !key.endsWith(".tmp") })))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const directory = (
  root: string,
  options: DirectoryOptions = {}
): Stream.Stream<UploadList.Item, SourceUnreadable> =>
  Stream.unwrap(
    Effect.map(
      Effect.flatMap(call<string>(root, (done) => fs.realpath.native(root, done)), (realRoot) =>
        Effect.map(
          call<fs.BigIntStats>(realRoot, (done) => fs.stat(realRoot, bigint, done)),
          (stat) => new Walk(realRoot, stat, options)
        )),
      (walk) => Stream.ensuring(Stream.repeatEffectChunkOption(walk.nextBatch), walk.close)
    )
  )

/**
 * Looks up a path in a directory and gives what `directory` would give for it: links and special files as `Skipped`,
 * entries that cannot be read as `Failed`, and excluded ones as `None`; a directory comes as `Failed`. Keys are paths
 * relative to the directory. A path that leads through a link is skipped unless links are followed. Fails if the
 * directory itself cannot be read.
 *
 * @example
 * ```ts
 * import * as FilesNode from "@sluice/core/FilesNode"
 * import { Effect } from "effect"
 *
 * const chosen = Effect.flatMap(FilesNode.entries("photos"), (entry) => Effect.forEach(["a.jpg", "raw/b.dng"], entry))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const entries = (
  root: string,
  options: Omit<DirectoryOptions, "filter"> = {}
): Effect.Effect<(key: string) => Effect.Effect<Option.Option<UploadList.Item>>, SourceUnreadable> =>
  Effect.map(
    call<string>(root, (done) => fs.realpath.native(root, done)),
    (realRoot) => Entry.lookup(realRoot, options)
  )
