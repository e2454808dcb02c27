/**
 * One entry of a directory, found by a walk or named by a caller: what it is, and what is reported if it cannot be
 * uploaded.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import * as ObjectKey from "../../ObjectKey.js"
import { SourceUnreadable } from "../../UploadError.js"
import type * as UploadList from "../../UploadList.js"
import * as UploadResult from "../../UploadResult.js"
import { bigint } from "../calls/callNode.js"
import * as Descriptors from "./descriptorsNode.js"
import { call, unreadable } from "./fileCallsNode.js"
import { fileOf, sizeIsDoubtful } from "./fileSourceNode.js"
import * as QuickReads from "./quickReadsNode.js"

export const notFollowed = (key: string): UploadResult.Skipped =>
  UploadResult.skipped(key, "It is a symbolic link, and links are not followed.")

export const leadingOut = (key: string): UploadResult.Skipped =>
  UploadResult.skipped(key, "It is a symbolic link that leads out of the directory.")

export const notRegular = (key: string): UploadResult.Skipped => UploadResult.skipped(key, "It is not a regular file.")

export const notUtf8 = (filePath: string): SourceUnreadable =>
  new SourceUnreadable({
    reason: "Failed",
    detail: `${filePath} has a name that is not valid UTF-8, so it cannot be opened by name.`
  })

export const failed = (key: string, error: SourceUnreadable): UploadResult.Failed => ({
  _tag: "Failed",
  file: { key, size: undefined },
  attempts: 0,
  error,
  duration: Duration.zero
})

/** The target of a link. */
export interface Seen {
  /** Its real path, without links. */
  readonly real: string
  readonly stat: fs.BigIntStats
}

/** The target of a link and its real path; on Linux both are certain to be of the same file. */
export const seeThrough = (linkPath: string, reached: string): Effect.Effect<Seen, SourceUnreadable> =>
  Effect.acquireUseRelease(
    call<number>(linkPath, (done) => fs.open(reached, Descriptors.lookOnly, done)),
    (descriptor) =>
      Effect.all({
        real: Effect.mapError(Descriptors.whereIs(descriptor, linkPath), (error) => unreadable(linkPath, error)),
        stat: call<fs.BigIntStats>(linkPath, (done) => fs.fstat(descriptor, bigint, done))
      }),
    close
  )

/** The same, on systems where descriptors have no paths. */
export const seeByName = (linkPath: string): Effect.Effect<Seen, SourceUnreadable> =>
  Effect.flatMap(
    call<string>(linkPath, (done) => fs.realpath.native(linkPath, done)),
    (real) =>
      Effect.map(call<fs.BigIntStats>(linkPath, (done) => fs.stat(real, bigint, done)), (stat) => ({ real, stat }))
  )

export const close = (descriptor: number | undefined): Effect.Effect<void> =>
  descriptor === undefined
    ? Effect.void
    : Effect.ignore(call<void>("", (done) => fs.close(descriptor, (error) => done(error ?? null))))

/** How entries that are named one by one are looked up. */
export interface Options {
  readonly followSymlinks?: boolean | undefined
  readonly leaveOut?: ((identity: { readonly dev: bigint; readonly ino: bigint }) => boolean) | undefined
}

/** Looks up keys in a directory, which is given by its real path. */
export const lookup = (
  root: string,
  { followSymlinks = false, leaveOut }: Options
): (key: string) => Effect.Effect<Option.Option<UploadList.Item>> => {
  const replaced = new Set<string>()
  const classify = (key: string, filePath: string, stat: fs.BigIntStats, followsLinks: boolean) =>
    Effect.suspend((): Effect.Effect<Option.Option<UploadList.Item>> => {
      if (leaveOut?.(stat) === true) return Effect.succeedNone
      if (stat.isDirectory()) {
        const detail = `${filePath} is a directory.`
        return Effect.succeedSome(failed(key, new SourceUnreadable({ reason: "Failed", detail })))
      }
      if (!stat.isFile()) return Effect.succeedSome(notRegular(key))
      return Effect.as(
        sizeIsDoubtful(stat) ? QuickReads.of(stat.dev).isAsked(filePath) : Effect.void,
        Option.some(fileOf(key, filePath, stat, { root, followsLinks }))
      )
    })
  const see = (key: string, filePath: string) =>
    Effect.flatMap(linkOn(root, key), (link): Effect.Effect<Option.Option<UploadList.Item>, SourceUnreadable> => {
      if (link === undefined) {
        return Effect.flatMap(
          call<fs.BigIntStats>(filePath, (done) => fs.lstat(filePath, bigint, done)),
          (stat) => classify(key, filePath, stat, false)
        )
      }
      if (!followSymlinks) return Effect.succeedSome(link === key ? notFollowed(key) : behindLink(key, link))
      const seen = Descriptors.arePaths ? seeThrough(filePath, filePath) : seeByName(filePath)
      return Effect.flatMap(seen, ({ real, stat }) =>
        Descriptors.isInside(root, real)
          ? classify(key, filePath, stat, true)
          : Effect.succeedSome(leadingOut(key)))
    })
  return (key) =>
    Effect.suspend((): Effect.Effect<Option.Option<UploadList.Item>> => {
      const problem = ObjectKey.problemAsPath(key)
      // A name with a NUL leads nowhere, and its own failure says so.
      if (problem !== undefined && !key.includes("\0")) {
        const detail = `The key ${JSON.stringify(key)} ${problem}.`
        return Effect.succeedSome(failed(key, new SourceUnreadable({ reason: "Failed", detail })))
      }
      const filePath = path.join(root, key)
      // Bytes that are not UTF-8 were replaced: the name is not the file's, and may be that of another.
      const odd = key.includes("\ufffd")
      if (odd && replaced.has(key)) return Effect.succeedSome(failed(key, notUtf8(filePath)))
      if (odd) replaced.add(key)
      return Effect.catchAll(
        see(key, filePath),
        (error) => Effect.succeedSome(failed(key, odd && error.reason === "NotFound" ? notUtf8(filePath) : error))
      )
    })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const behindLink = (key: string, link: string): UploadResult.Skipped =>
  UploadResult.skipped(key, `It is behind the symbolic link ${link}, and links are not followed.`)

/** The first link on the way to a key, as a key. Without one, no directory has to be checked. */
const linkOn = (root: string, key: string): Effect.Effect<string | undefined, SourceUnreadable> => {
  const filePath = path.join(root, key)
  const names = key.split("/")
  const from = (length: number): Effect.Effect<string | undefined, SourceUnreadable> => {
    if (length > names.length) return Effect.succeed(undefined)
    const part = names.slice(0, length).join("/")
    return Effect.flatMap(
      call<fs.BigIntStats>(filePath, (done) => fs.lstat(path.join(root, part), bigint, done)),
      (stat) => stat.isSymbolicLink() ? Effect.succeed(part) : from(length + 1)
    )
  }
  return Effect.flatMap(
    Effect.option(call<string>(filePath, (done) => fs.realpath.native(filePath, done))),
    (real) => Option.contains(real, filePath) ? Effect.succeed(undefined) : from(1)
  )
}
