/**
 * The checks of `sluice doctor`: one finding for each thing that uploads need, reported as soon as it is known. It
 * writes a small object, looks it up, reads it back, lists and removes it; writes and removes one in a directory; sends
 * one with a wrong checksum; begins an upload in parts and aborts it. It reports nothing that it did not try.
 *
 * A problem makes uploads fail. A note is about something that uploads can do without, and says what that costs.
 */
import type { Destination } from "@sluice/core/Destination"
import * as RetryPolicy from "@sluice/core/RetryPolicy"
import type * as Uploader from "@sluice/core/Uploader"
import type * as UploadError from "@sluice/core/UploadError"
import * as UploadFile from "@sluice/core/UploadFile"
import * as UploadResult from "@sluice/core/UploadResult"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Advice from "../targets/Advice.js"
import type { Kind } from "../targets/Targets.js"
import * as ChecksumCheck from "./ChecksumCheck.js"
import type { Outcome, Tell } from "./Finding.js"

/** The destination to check. */
export interface Subject {
  readonly kind: Kind
  readonly destination: Destination["Type"]
  readonly uploader: Uploader.Uploader["Type"]
  /** The key of the object that is written; no other object has it. */
  readonly key: string
  /** The same in a directory, if the destination treats keys as paths. */
  readonly nested: string | undefined
}

/** Few attempts, so that the user gets an answer soon. */
export const options: Uploader.Options = {
  retry: RetryPolicy.make({ attempts: 2, base: "200 millis" })
}

/** Checks a destination that can be reached. */
export const run = (subject: Subject, tell: Tell): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { destination, key, kind } = subject
    const failed = (check: Advice.Check, outcome: Outcome, error: UploadError.UploadError, cost: string = "") =>
      tell(check, outcome, `${error.message}${cost}`, Advice.forError(error, { kind, check }))
    const written = yield* Effect.either(subject.uploader.upload(UploadFile.fromText(key, content, metadata)))
    if (Either.isLeft(written)) return yield* failed("write", "problem", written.left)
    yield* tell("write", "ok", `stored ${key}, ${content.length} bytes`)
    if (subject.nested !== undefined) yield* checkNested(subject, subject.nested, tell)
    const checksum = UploadResult.isUploaded(written.right) ? written.right.checksum : undefined
    const { checksums = [] } = destination.capabilities
    yield* checksum === undefined || checksums.length === 0
      ? tell("checksum", "note", "the destination verifies no checksums: uploads are checked only by their size")
      : ChecksumCheck.run(destination, { algorithm: checksum.algorithm, key: `${key}.wrong`, tell })
    if (destination.head !== undefined) {
      const head = yield* Effect.either(destination.head(key))
      if (Either.isLeft(head)) {
        yield* failed("look", "note", head.left, " Uploads work; sluice verify will not.")
      } else if (Option.isNone(head.right)) {
        yield* tell("look", "problem", `${key} was stored, but does not exist.`, Advice.notStored)
      } else {
        const { size } = head.right.value
        yield* size === content.length
          ? tell("look", "ok", `${key} exists and has the right size`)
          : tell("look", "problem", `${key} has ${size} bytes instead of ${content.length}.`, Advice.notStored)
      }
    }
    if (destination.read !== undefined) yield* checkRead(subject, tell)
    if (destination.list !== undefined) {
      // One object is enough: there may be millions.
      const first = yield* Effect.either(Stream.runHead(destination.list))
      yield* Either.isLeft(first)
        ? failed("list", "note", first.left, " sluice verify cannot find files that only the destination has.")
        : tell("list", "ok", "objects can be listed")
    }
    yield* checkMultipart(subject, tell)
    yield* checkRemove(subject, tell)
  }).pipe(Effect.scoped)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const content = "sluice doctor wrote this to see whether uploads work. It can be removed.\n"

const metadata = { contentType: "text/plain; charset=utf-8" }

const checkNested = Effect.fnUntraced(
  function*({ destination, kind, uploader }: Subject, key: string, tell: Tell): Effect.fn.Return<void> {
    const written = yield* Effect.either(uploader.upload(UploadFile.fromText(key, content, metadata)))
    if (Either.isLeft(written)) {
      const { left } = written
      const advice = Advice.forError(left, { kind, check: "nested" })
      return yield* tell("nested", "problem", `${left.message} Files in directories will fail.`, advice)
    }
    const removed = destination.remove === undefined ? Either.void : yield* Effect.either(destination.remove(key))
    yield* Either.isLeft(removed) || destination.remove === undefined
      ? tell("nested", "ok", `stored ${key}, which stays there`)
      : tell("nested", "ok", `stored ${key}, in a directory, and removed it`)
  }
)

const checkRead = Effect.fnUntraced(function*({ destination, key, kind }: Subject, tell: Tell): Effect.fn.Return<void> {
  const bytes = destination.read === undefined ? Stream.empty : destination.read(key)
  const text = yield* Effect.either(Stream.mkString(Stream.decodeText(bytes)))
  if (Either.isLeft(text)) {
    return yield* tell(
      "read",
      "note",
      `${text.left.message} Uploads work; sluice verify can only compare checksums.`,
      Advice.forError(text.left, { kind, check: "read" })
    )
  }
  yield* text.right === content
    ? tell("read", "ok", "the same bytes came back")
    : tell("read", "problem", "The destination returned different bytes than were stored.", Advice.notStored)
})

const checkMultipart = Effect.fnUntraced(
  function*({ destination, key, kind }: Subject, tell: Tell): Effect.fn.Return<void> {
    const { capabilities, multipart } = destination
    if (multipart === undefined) {
      return yield* tell(
        "parts",
        "note",
        "large files are uploaded in one request, and start over after an interruption"
      )
    }
    const request = {
      key,
      size: 64 * 1024 ** 2,
      checksum: capabilities.checksums?.[0],
      token: key.replace(/\W/g, "").padEnd(32, "0").slice(0, 32),
      ...metadata
    }
    const created = yield* Effect.either(multipart.create(request))
    if (Either.isLeft(created)) {
      return yield* tell(
        "parts",
        "problem",
        `${created.left.message} Large files will fail.`,
        Advice.forError(created.left, { kind, check: "parts" })
      )
    }
    const session = { key, uploadId: created.right }
    const told = yield* Effect.either(multipart.listParts(session))
    if (Either.isLeft(told)) {
      yield* tell(
        "resume",
        "note",
        `${told.left.message} Interrupted large files start over, because the server does not report their stored parts.`,
        Advice.forError(told.left, { kind, check: "resume" })
      )
    }
    const aborted = yield* Effect.either(multipart.abort(session))
    yield* Either.isLeft(aborted)
      ? tell(
        "parts",
        "note",
        `${aborted.left.message} Stored parts of aborted uploads stay there, and may cost money.`,
        Advice.forError(aborted.left, { kind, check: "abort" })
      )
      : tell("parts", "ok", "an upload in parts was begun and aborted")
  }
)

const checkRemove = ({ destination, key, kind }: Subject, tell: Tell): Effect.Effect<void> =>
  Effect.gen(function*() {
    if (destination.remove === undefined) {
      return yield* tell("remove", "note", `${key} stays there: this kind of destination cannot remove objects`)
    }
    const removed = yield* Effect.either(destination.remove(key))
    yield* Either.isLeft(removed)
      ? tell(
        "remove",
        "note",
        `${removed.left.message} ${key} stays there. Uploads work all the same.`,
        Advice.forError(removed.left, { kind, check: "remove" })
      )
      : tell("remove", "ok", `${key} was removed again`)
  })
