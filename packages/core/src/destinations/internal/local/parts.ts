/**
 * Multipart uploads into a local directory: every part is written at its offset in one temporary file next to the
 * target, `.sluice-<token>.parts`, which is renamed when it is whole. The upload id is the token.
 *
 * The etag of a part records its offset, the size of the whole object, and its CRC-32: `0/20971520/7a0c1f52`. A process
 * that resumes the upload of a killed one is told only of the parts that are unchanged: the others may have been
 * overwritten, for example with zeros, by a file system that was cut off as well or by somebody else.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Checksum from "../../../Checksum.js"
import type {
  CompleteRequest,
  CreateRequest,
  Multipart,
  PartLimits,
  PartRequest,
  Session,
  Stored,
  StoredPart
} from "../../../Destination.js"
import { IntegrityMismatch, Rejected, SessionGone } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import { codeOf, errorOf, isMissing, opening, ownErrors } from "./errors.js"
import { ownerOnly } from "./files.js"
import type { LocalFiles, Target } from "./files.js"
import type { Place } from "./openDirectories.js"
import * as TemporaryNames from "./temporaryNames.js"

export const limits: PartLimits = {
  minSize: 1,
  maxSize: Number.MAX_SAFE_INTEGER,
  multiple: 1,
  maxCount: 1_000_000,
  maxObjectSize: Number.MAX_SAFE_INTEGER,
  inOrder: false
}

/** How long stored parts are read to verify them. The rest are sent again, which is no slower. */
const mostMillis = 10_000

const readSize = 1024 * 1024

export const multipart = (files: LocalFiles): Multipart => {
  const { fs, path } = files

  /** The name and location of a session's temporary file. */
  interface Temporary {
    readonly name: string
    readonly place: Place
    readonly path: string
    readonly target: Target
  }

  const withTarget = <A>(
    { key, uploadId }: Session,
    use: (name: string, target: Target) => Effect.Effect<A, UploadError>
  ): Effect.Effect<A, UploadError> => {
    if (!/^[\w-]{8,64}$/.test(uploadId)) return Effect.fail(invalidId(uploadId))
    return Effect.flatMap(files.targetOf(key), (target) => use(TemporaryNames.ofParts(uploadId), target))
  }

  /** The same if the object's directory still exists inside the root. */
  const withFile = <A>(
    session: Session,
    use: (temporary: Temporary) => Effect.Effect<A, UploadError>,
    gone: Effect.Effect<A, UploadError> = Effect.fail(sessionGone(session))
  ): Effect.Effect<A, UploadError> =>
    withTarget(session, (name, target) =>
      Effect.onError(
        files.places.find(
          target.directory,
          (place) => use({ name, place, path: path.join(place.path, name), target }),
          gone
        ),
        () => Effect.sync(() => files.places.forget(target.directory))
      ))

  // "wx" creates a new file and follows no link. A file that exists under the name comes from an earlier try of this
  // call.
  const makeFile = (temporary: string, place: Place, { mode, size }: CreateRequest) =>
    Effect.scoped(
      Effect.gen(function*() {
        const open = opening(fs.open(temporary, { flag: "wx", ...(mode !== undefined && { mode: ownerOnly }) }))
        const file = yield* Effect.catchIf(
          open,
          (error) => codeOf(error) === "EEXIST",
          () => Effect.zipRight(fs.remove(temporary, { force: true }), open)
        )
        yield* Effect.gen(function*() {
          if (size !== undefined && size > 0) yield* file.truncate(size)
          if (!files.fsync) return
          yield* file.sync
          yield* place.sync
        }).pipe(Effect.onError(() => Effect.ignore(fs.remove(temporary, { force: true }))))
      })
    ).pipe(Effect.uninterruptible)

  const create = (request: CreateRequest) =>
    withTarget(
      { key: request.key, uploadId: request.token },
      (name, { directory, path: targetPath }) =>
        files.places.make(directory, (place) =>
          Effect.zipRight(
            place.check,
            Effect.mapError(makeFile(path.join(place.path, name), place, request), errorOf(targetPath))
          )).pipe(
            Effect.as(request.token),
            Effect.onError(() => Effect.sync(() => files.places.forget(directory)))
          )
    )

  const openAt = (session: Session, temporary: Temporary, flag: "r" | "r+") =>
    files.openFile(temporary.path, flag).pipe(
      Effect.mapError(errorOf(temporary.target.path)),
      Effect.flatMap(Option.match({ onNone: () => Effect.fail(sessionGone(session)), onSome: Effect.succeed }))
    )

  const uploadPart = (request: PartRequest) =>
    files.openFiles.withPermits(1, (turn) => request.body.unwatched(turn))(
      withFile(request, (temporary) => {
        const { number, offset, total } = request
        const fold = Checksum.make("crc32")
        const open = Effect.tap(openAt(request, temporary, "r+"), (file) => file.seek(offset, "start"))
        return Effect.map(
          files.writeBody(temporary.target.path, request.body, open, { note: (block) => fold.update(block) }),
          (size) => ({ number, size, checksum: request.body.checksum, etag: etagOf({ offset, total }, fold) })
        )
      })
    )

  /** Whether a part matches its etag, as far as its file can be read. */
  const isWhole = (temporary: Temporary, { size }: StoredPart, { crc, offset }: Evidence) =>
    Effect.scoped(
      Effect.gen(function*() {
        const file = Option.getOrUndefined(yield* files.openFile(temporary.path, "r"))
        if (file === undefined) return false
        yield* file.seek(offset, "start")
        const fold = Checksum.make("crc32")
        for (let read = 0; read < size;) {
          const block = yield* Effect.uninterruptible(file.readAlloc(Math.min(readSize, size - read)))
          if (Option.isNone(block)) return false
          fold.update(block.value)
          read += block.value.length
        }
        return Encoding.encodeHex(fold.digest()) === crc
      })
    )

  const listParts = (session: Session): Effect.Effect<ReadonlyArray<StoredPart> | undefined, UploadError> =>
    withFile(session, (temporary) =>
      Effect.gen(function*() {
        const size = yield* sizeOf(session, temporary)
        if (session.parts === undefined) return undefined
        const known = session.parts.flatMap((part) => {
          const evidence = evidenceOf(part)
          return evidence === undefined ? [] : [{ part, evidence }]
        })
        const total = known.find(({ evidence }) => evidence.total !== undefined)?.evidence.total
        if (total !== undefined && size !== total) {
          yield* Effect.scoped(
            Effect.flatMap(openAt(session, temporary, "r+"), (file) => Effect.uninterruptible(file.truncate(total)))
          )
        }
        const began = yield* Clock.currentTimeMillis
        const whole: Array<StoredPart> = []
        for (const { evidence, part } of known) {
          if ((yield* Clock.currentTimeMillis) - began > mostMillis) break
          if (yield* isWhole(temporary, part, evidence)) whole.push(part)
        }
        return whole
      }).pipe(Effect.mapError(ownErrors(errorOf(temporary.target.path, "read")))))

  const sizeOf = (session: Session, { path, target }: Temporary): Effect.Effect<number, UploadError> =>
    Effect.mapError(files.look(path), errorOf(target.path)).pipe(
      Effect.flatMap((info) =>
        Option.isSome(info) && info.value.type === "File"
          ? Effect.succeed(Number(info.value.size))
          : Effect.fail(sessionGone(session))
      )
    )

  const complete = (request: CompleteRequest): Effect.Effect<Stored, UploadError> =>
    withFile(request, (temporary) =>
      Effect.gen(function*() {
        const { name, place, target } = temporary
        const there = yield* sizeOf(request, temporary)
        const sent = request.parts.reduce((sum, { size }) => sum + size, 0)
        if (there !== request.size || sent !== request.size) {
          return yield* Effect.fail(wrongSize(request, there, sent))
        }
        const commit = (file?: FileSystem.File) => files.commit(place, name, target.name, { ...request, file })
        const opened = Effect.scoped(
          Effect.flatMap(openAt(request, temporary, "r+"), (file) =>
            Effect.zipRight(
              files.fsync ? file.sync : Effect.void,
              files.by === "descriptor" ? commit(file) : Effect.void
            ))
        )
        yield* (files.by === "descriptor" ? opened : Effect.zipRight(opened, commit())).pipe(
          Effect.mapError(ownErrors((error) => isMissing(error) ? sessionGone(request) : errorOf(target.path)(error)))
        )
        return { size: there }
      }))

  const abort = (session: Session): Effect.Effect<void, UploadError> =>
    withFile(
      session,
      ({ path, target }) =>
        fs.remove(path, { force: true }).pipe(
          Effect.catchIf(isMissing, () => Effect.void),
          Effect.mapError(errorOf(target.path))
        ),
      Effect.void
    )

  return { limits, ownIds: true, becomesObject: false, create, uploadPart, listParts, complete, abort }
}

/** What an etag says about a part. */
interface Evidence {
  readonly offset: number
  /** The size of the whole object, if known. */
  readonly total: number | undefined
  readonly crc: string
}

const etagOf = ({ offset, total }: Omit<Evidence, "crc">, fold: Checksum.Fold): string =>
  `${offset}/${total ?? ""}/${Encoding.encodeHex(fold.digest())}`

const evidenceOf = ({ etag }: StoredPart): Evidence | undefined => {
  const [, offset, total, crc] = /^(\d{1,16})\/(\d{0,16})\/([0-9a-f]{8})$/.exec(etag ?? "") ?? []
  return crc === undefined ? undefined : { offset: Number(offset), total: total ? Number(total) : undefined, crc }
}

const invalidId = (uploadId: string) =>
  new Rejected({
    reason: "Unsupported",
    detail: `${JSON.stringify(uploadId)} is not a valid upload id: it takes 8 to 64 letters, digits, "_" and "-".`
  })

const sessionGone = ({ key, uploadId }: Session) =>
  new SessionGone({ detail: `The upload ${uploadId} of ${key} no longer exists.` })

const wrongSize = ({ key, size }: CompleteRequest, there: number, sent: number) =>
  new IntegrityMismatch({
    reason: "Size",
    detail: `${key} should have ${size} bytes, but its parts have ${sent} and its file has ${there}.`
  })
