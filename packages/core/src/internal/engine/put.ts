/**
 * What one attempt does: it takes the fingerprint of the source, and sends the file in one request or in parts.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as ByteSize from "../../ByteSize.js"
import * as ByteSource from "../../ByteSource.js"
import type * as Destination from "../../Destination.js"
import type * as Journal from "../../Journal.js"
import type * as Upload from "../../Upload.js"
import { Rejected } from "../../UploadError.js"
import type { UploadError } from "../../UploadError.js"
import { UploadBody } from "../bytes/body.js"
import { eachBlock, ofSource, reading, sourceStream, watchOf } from "../bytes/watch.js"
import { isLater } from "./answeringJournal.js"
import * as Lease from "./lease.js"
import * as Multipart from "./multipart.js"
import * as Session from "./session.js"

/** The most bytes of a source of unknown size that are held in memory, for a destination that needs the size first. */
const maxBuffered = 8 * 1024 * 1024

/** Sends the file once. The caller holds the lease. */
export const attempt = (
  context: Upload.Context,
  upload: Upload.Upload
): Effect.Effect<Destination.Stored, UploadError> => {
  const fingerprint = upload.fingerprint === undefined ? upload.source.fingerprint : undefined
  if (fingerprint === undefined) return send(context, upload)
  upload.onAsk()
  const asked = upload.large ? reading(upload, () => ofSource(() => fingerprint)) : ofSource(() => fingerprint)
  return Effect.flatMap(asked, (now) => {
    upload.onRead()
    upload.fingerprint = now
    return send(context, upload)
  })
}

const send = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const { multipart } = context.destination
  if (upload.large && multipart !== undefined) return Multipart.run(context, upload, multipart, upload.size)
  const tidied = tidy(context, upload)
  return tidied === undefined ? sizedPut(context, upload) : Effect.flatMap(tidied, (isLeaseUsed) => {
    if (!isLeaseUsed) return sizedPut(context, upload)
    upload.onWait()
    return Effect.flatMap(Lease.take(context, upload), () => {
      upload.onGo()
      return sizedPut(context, upload)
    })
  })
}

/**
 * Aborts the multipart upload that an earlier run began for a file that no longer needs one. Returns whether this has
 * used up the permit; `undefined` if there is nothing to abort.
 */
export const tidy = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<boolean> | undefined => {
  const { journal, destination: { multipart } } = context
  if (multipart === undefined || journal === undefined) return undefined
  const discard = (known: Journal.Session) => Effect.as(Session.discard(context, upload, multipart, known), true)
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

const sizedPut = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const { capabilities } = context.destination
  if (upload.size !== undefined || capabilities.unknownSize) return put(context, upload)
  return Effect.flatMap(
    buffer(upload),
    (size) => size > capabilities.maxPutSize ? Effect.fail(tooLarge(capabilities)) : put(context, upload)
  )
}

const put = (context: Upload.Context, upload: Upload.Upload): Effect.Effect<Destination.Stored, UploadError> => {
  const body = new UploadBody(upload, context.limits.bandwidth)
  upload.body = body
  const request = {
    key: upload.file.key,
    body,
    contentType: upload.file.contentType,
    metadata: upload.file.metadata,
    modifiedAt: upload.modifiedAt
  }
  return context.destination.put(upload.mode === undefined ? request : { ...request, mode: upload.mode })
}

/** The failure of a file that is too large for one request. */
export const tooLarge = (capabilities: Destination.Capabilities) =>
  new Rejected({
    reason: "TooLarge",
    detail: `The destination takes at most ${ByteSize.format(capabilities.maxPutSize)} in one request.`
  })

/** Reads a source of unknown size into memory, once, so that its size is known and it can be sent again. */
const buffer = (upload: Upload.Upload): Effect.Effect<number, UploadError> =>
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
