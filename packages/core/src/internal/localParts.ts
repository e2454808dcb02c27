/**
 * Multipart uploads into a local directory: every part is written at its offset of one temporary file beside the target,
 * `.sluice-<token>.parts`, which is renamed when it is whole. The upload id is the token.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { CompleteRequest, CreateRequest, Multipart, PartRequest, Session, Stored } from "../Destination.js"
import type { PartLimits } from "../PartPlan.js"
import { IntegrityMismatch, Rejected, SessionGone } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import { codeOf, errorOf, isMissing } from "./localFiles.js"
import type { LocalFiles, Target } from "./localFiles.js"

export const limits: PartLimits = {
  minSize: 1,
  maxSize: Number.MAX_SAFE_INTEGER,
  multiple: 1,
  maxCount: 1_000_000,
  maxObjectSize: Number.MAX_SAFE_INTEGER,
  inOrder: false
}

/** Whether a file is the temporary one of a multipart upload, by its name. */
export const isPartsName = (name: string): boolean => /^\.sluice-[\w-]{8,64}\.parts$/.test(name)

export const multipart = (files: LocalFiles): Multipart => {
  const { fs, path } = files

  const withFile = <A>(
    { key, uploadId }: Session,
    use: (temporary: string, target: Target) => Effect.Effect<A, UploadError>
  ): Effect.Effect<A, UploadError> => {
    if (!/^[\w-]{8,64}$/.test(uploadId)) return Effect.fail(invalidId(uploadId))
    return Effect.flatMap(
      files.targetOf(key),
      (target) => use(path.join(target.directory, `.sluice-${uploadId}.parts`), target)
    )
  }

  /** Does so where the directory of the object is still there and inside. */
  const inDirectory = <A>(
    { directory }: Target,
    use: Effect.Effect<A, UploadError>,
    gone: Effect.Effect<A, UploadError>
  ): Effect.Effect<A, UploadError> =>
    Effect.flatMap(files.hasDirectory(directory), (there) => there ? use : gone).pipe(
      Effect.onError(() => files.forget)
    )

  // "wx" makes a file of its own and follows no link. What is there under the name is an earlier try of this very call.
  const makeFile = (temporary: string, size: number | undefined) =>
    Effect.scoped(
      Effect.gen(function*() {
        const open = fs.open(temporary, { flag: "wx" })
        const file = yield* Effect.catchIf(
          open,
          (error) => codeOf(error) === "EEXIST",
          () => Effect.zipRight(fs.remove(temporary, { force: true }), open)
        )
        yield* Effect.gen(function*() {
          if (size !== undefined && size > 0) yield* file.truncate(size)
          if (!files.fsync) return
          yield* file.sync
          yield* files.sync(path.dirname(temporary))
        }).pipe(Effect.onError(() => Effect.ignore(fs.remove(temporary, { force: true }))))
      })
    ).pipe(Effect.mapError(errorOf(temporary)), Effect.uninterruptible)

  const create = ({ key, size, token }: CreateRequest) =>
    withFile({ key, uploadId: token }, (temporary, { directory }) =>
      files.ensureDirectory(directory).pipe(
        Effect.zipRight(makeFile(temporary, size)),
        Effect.as(token),
        Effect.onError(() => files.forget)
      ))

  const uploadPart = (request: PartRequest) =>
    withFile(request, (temporary, target) => {
      const { body, number, offset } = request
      const open = files.openFile(temporary, "r+").pipe(
        Effect.mapError(errorOf(temporary)),
        Effect.flatMap(Option.match({ onNone: () => Effect.fail(sessionGone(request)), onSome: Effect.succeed })),
        Effect.tap((file) => file.seek(offset, "start"))
      )
      const write = files.openFiles.withPermits(1, (turn) => body.unwatched(turn))(
        Effect.map(files.writeBody(temporary, body, open), (size) => ({ number, size, checksum: body.checksum }))
      )
      return inDirectory(target, write, Effect.fail(sessionGone(request)))
    })

  const sizeOf = (session: Session, temporary: string): Effect.Effect<number, UploadError> =>
    Effect.mapError(files.look(temporary), errorOf(temporary)).pipe(
      Effect.flatMap((info) =>
        Option.isSome(info) && info.value.type === "File"
          ? Effect.succeed(Number(info.value.size))
          : Effect.fail(sessionGone(session))
      )
    )

  const listParts = (session: Session) =>
    withFile(
      session,
      (temporary, target) =>
        inDirectory(target, Effect.as(sizeOf(session, temporary), undefined), Effect.fail(sessionGone(session)))
    )

  const complete = (request: CompleteRequest): Effect.Effect<Stored, UploadError> =>
    withFile(request, (temporary, target) =>
      inDirectory(
        target,
        Effect.gen(function*() {
          const there = yield* sizeOf(request, temporary)
          const sent = request.parts.reduce((sum, { size }) => sum + size, 0)
          if (there !== request.size || sent !== request.size) {
            return yield* Effect.fail(wrongSize(request, there, sent))
          }
          if (files.fsync) yield* Effect.mapError(files.sync(temporary), errorOf(temporary))
          yield* Effect.mapError(
            files.commit(temporary, target.path, request.modifiedAt),
            (error) => isMissing(error) ? sessionGone(request) : errorOf(target.path)(error)
          )
          return { size: there }
        }),
        Effect.fail(sessionGone(request))
      ))

  const abort = (session: Session): Effect.Effect<void, UploadError> =>
    withFile(session, (temporary, target) =>
      inDirectory(
        target,
        fs.remove(temporary, { force: true }).pipe(
          Effect.catchIf(isMissing, () => Effect.void),
          Effect.mapError(errorOf(temporary))
        ),
        Effect.void
      ))

  return { limits, ownIds: true, becomesObject: false, create, uploadPart, listParts, complete, abort }
}

const invalidId = (uploadId: string) =>
  new Rejected({
    reason: "Unsupported",
    detail: `${JSON.stringify(uploadId)} is not an upload id: 8 to 64 letters, digits, "_" and "-" are.`
  })

const sessionGone = ({ key, uploadId }: Session) =>
  new SessionGone({ detail: `There is no upload ${uploadId} of ${key} any more.` })

const wrongSize = ({ key, size }: CompleteRequest, there: number, sent: number) =>
  new IntegrityMismatch({
    reason: "Size",
    detail: `${key} should have ${size} bytes: its parts have ${sent}, and its file has ${there}.`
  })
