/**
 * A destination whose upload ids are the engine's own tokens.
 */
import { UploadError } from "@sluice/core"
import type { Destination } from "@sluice/core"
import { Effect } from "effect"

/** Makes the engine's tokens the upload ids. */
export const withOwnIds = (inner: Destination.Destination["Type"]): Destination.Destination["Type"] => {
  const { multipart } = inner
  if (multipart === undefined) return inner
  const ids = new Map<string, string>()
  const known = <S extends Destination.Session, A>(
    session: S,
    run: (session: S) => Effect.Effect<A, UploadError.UploadError>
  ) =>
    Effect.suspend(() => {
      const uploadId = ids.get(session.uploadId)
      return uploadId === undefined
        ? Effect.fail(new UploadError.SessionGone({ detail: `There is no upload ${session.uploadId}.` }))
        : run({ ...session, uploadId })
    })
  return {
    ...inner,
    multipart: {
      limits: multipart.limits,
      ownIds: true,
      becomesObject: false,
      create: (request) =>
        ids.has(request.token)
          ? Effect.succeed(request.token)
          : Effect.map(multipart.create(request), (uploadId) => {
            ids.set(request.token, uploadId)
            return request.token
          }),
      uploadPart: (request) => known(request, multipart.uploadPart),
      listParts: (session) => known(session, multipart.listParts),
      complete: (request) => known(request, multipart.complete),
      abort: (session) => Effect.catchTag(known(session, multipart.abort), "SessionGone", () => Effect.void)
    }
  }
}
