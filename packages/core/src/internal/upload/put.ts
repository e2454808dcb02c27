/**
 * What one attempt does: it takes the fingerprint of the source, and sends the file in one request or in parts.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as ByteSize from "../../ByteSize.js"
import * as ByteSource from "../../ByteSource.js"
import type * as Destination from "../../Destination.js"
import type * as Journal from "../../Journal.js"
import { Rejected } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import { UploadBody } from "../bytes/body.js"
import { eachBlock, ofSource, sourceStream, watchOf } from "../bytes/watch.js"
import { isLater } from "./answeringJournal.js"
import { lookAt } from "./call.js"
import type { Env } from "./env.js"
import * as Multipart from "./multipart.js"
import * as Request from "./request.js"
import * as Session from "./session.js"
import type { Upload } from "./upload.js"

/** The most bytes of a source of unknown size that are held in memory, for a destination that needs the size first. */
const maxBuffered = 8 * 1024 * 1024

/** Sends the file once. The caller holds the lease. */
export const attempt = (
  env: Env,
  upload: Upload
): Effect.Effect<Destination.Stored, UploadError> => {
  const fingerprint = upload.fingerprint === undefined ? upload.source.fingerprint : undefined
  if (fingerprint === undefined) return send(env, upload)
  upload.onAsk()
  const asked = upload.large
    ? upload.run.stalls.reading(() => ofSource(() => fingerprint))
    : ofSource(() => fingerprint)
  return Effect.flatMap(asked, (now) => {
    upload.onRead()
    upload.fingerprint = now
    return send(env, upload)
  })
}

const send = (env: Env, upload: Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const { multipart } = env.destination
  if (upload.large && multipart !== undefined) return Multipart.run(env, upload, multipart)
  const tidied = tidy(env, upload)
  return tidied === undefined ? sizedPut(env, upload) : Effect.flatMap(tidied, (isLeaseUsed) => {
    if (!isLeaseUsed) return sizedPut(env, upload)
    upload.onWait()
    return Effect.flatMap(
      Request.take(env, { clock: upload.clock, lease: upload.lease, look: lookAt(env, upload) }),
      () => {
        upload.onGo()
        return sizedPut(env, upload)
      }
    )
  })
}

/**
 * Aborts the multipart upload that an earlier run began for a file that no longer needs one. Returns whether this has
 * used up the permit; `undefined` if there is nothing to abort.
 */
export const tidy = (env: Env, upload: Upload): Effect.Effect<boolean> | undefined => {
  const { journal, destination: { multipart } } = env
  if (multipart === undefined || journal === undefined) return undefined
  // The abort has its own deadline and retries: a slow one is not a stall of the upload.
  const discard = (known: Journal.Session) =>
    Effect.suspend(() => {
      upload.onWait()
      return Effect.ensuring(
        Effect.as(Session.discard(env, upload, multipart, known), true),
        Effect.sync(() => upload.onGo())
      )
    })
  const asked = journal.session(upload.file.key)
  if (!isLater(asked)) return asked === undefined ? undefined : discard(asked)
  return Effect.suspend(() => {
    // A slow journal is not a stall.
    upload.onWait()
    return Effect.flatMap(Effect.exit(asked), (answer) => {
      upload.onGo()
      if (Exit.isSuccess(answer)) return answer.value === undefined ? Effect.succeed(false) : discard(answer.value)
      // What is not known now can be aborted another time.
      return Effect.as(Effect.logDebug("The journal does not tell whether to abort an upload.", answer.cause), false)
    })
  })
}

const sizedPut = (env: Env, upload: Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const { capabilities } = env.destination
  if (upload.size !== undefined || capabilities.unknownSize) return put(env, upload)
  return Effect.flatMap(
    buffer(upload),
    (size) => size > capabilities.maxPutSize ? Effect.fail(tooLarge(capabilities)) : put(env, upload)
  )
}

const put = (env: Env, upload: Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const body = new UploadBody(upload, env.limits.bandwidth)
  upload.body = body
  const request = {
    key: upload.file.key,
    body,
    contentType: upload.file.contentType,
    metadata: upload.file.metadata,
    modifiedAt: upload.modifiedAt
  }
  return env.destination.put(upload.mode === undefined ? request : { ...request, mode: upload.mode })
}

/** The failure of a file that is too large for one request. */
export const tooLarge = (capabilities: Destination.Capabilities) =>
  new Rejected({
    reason: "TooLarge",
    detail: `The destination takes at most ${ByteSize.format(capabilities.maxPutSize)} in one request.`
  })

/** Reads a source of unknown size into memory, once, so that its size is known and it can be sent again. */
const buffer = (upload: Upload): Effect.Effect<number, UploadError> =>
  Effect.suspend(() => {
    upload.opened = true
    upload.onAsk()
    const blocks: Array<Uint8Array> = []
    let total = 0
    const watch = watchOf(() => upload)
    const read = eachBlock(sourceStream(() => upload.source.read({ offset: 0, watch })), (block) => {
      upload.onAsk()
      blocks.push(block)
      total += block.length
      return total > maxBuffered
    })
    return Effect.flatMap(read, () => {
      upload.onRead()
      if (total > maxBuffered) return Effect.fail(tooLargeToHold)
      upload.source = ByteSource.fromBytes(ByteSource.concat(blocks))
      return Effect.succeed(total)
    })
  })

const tooLargeToHold = new Rejected({
  reason: "Unsupported",
  detail: `The destination must know the size beforehand, and the source gives more than ${
    ByteSize.format(maxBuffered)
  } without saying how many.`
})
