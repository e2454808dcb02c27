/**
 * Files and directories of the local disk as things to upload. For Node.
 *
 * A directory is walked lazily, so that a tree of any size costs memory for one directory's batch of names and for the
 * subdirectories still to come. What cannot be uploaded is an item too: links that are not followed and special files
 * come as `Skipped`, directories that cannot be read as `Failed`. The content type follows from the key's extension.
 *
 * However many uploads are in flight, at most {@link maxOpenFiles} source files are open at once in a process, and fewer
 * where it may have few open; the others wait for their turn before they open theirs.
 *
 * Nothing is read from outside of a directory that is walked: where a directory in it is exchanged for a link meanwhile,
 * its files fail. Files that are made when they are read, such as those of `/proc`, have no size beforehand.
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
 * How many source files are open at once, at most, in the whole process; where the process may have few files open, they
 * are a quarter of those.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxOpenFiles: number = OpenFiles.maxOpenFiles

/**
 * A file on the disk, as it is now. A link is followed. Fails where there is no such file, or where it is not a regular
 * one. Its key is its base name unless `key` says otherwise.
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
 * What tells a file or a directory from all others, by whatever names they are reached.
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
  /** What to take, by key; a directory that is left out is not looked into. Defaults to everything. */
  readonly filter?: ((key: string, kind: "file" | "directory") => boolean) | undefined
  /**
   * Whether symbolic links are followed. A link that leads out of the directory, or back to a directory that it is in, is
   * skipped all the same. What is reached by several names is uploaded under each. Defaults to `false`.
   */
  readonly followSymlinks?: boolean | undefined
  /**
   * What to leave out, by what it is and not by its key, such as files that are written while the directory is uploaded; a
   * directory that is left out is not looked into. Defaults to nothing.
   */
  readonly leaveOut?: ((identity: Identity) => boolean) | undefined
}

/**
 * All files below a directory, with keys relative to it and the permission bits that they have. The stream fails only where the directory itself cannot be
 * read.
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
 * What is under a path in a directory, as `directory` would give it: links and special files come as `Skipped`, what
 * cannot be read as `Failed`, and what is left out as `None`; a directory comes as `Failed`. Keys are paths relative to
 * the directory. A path that leads through a link is skipped unless links are followed. Fails where the directory itself
 * cannot be read.
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
