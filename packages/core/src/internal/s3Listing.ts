/**
 * The objects in a bucket, page by page.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Listed } from "../Destination.js"
import { answerLimit, answerMillis } from "../Transport.js"
import { Rejected } from "../UploadError.js"
import type { UploadError } from "../UploadError.js"
import type { Bucket } from "./s3Bucket.js"
import { document } from "./s3Objects.js"

/** All objects below the prefix. */
export const list = (bucket: Bucket): Stream.Stream<Listed, UploadError> =>
  Stream.flatMap(
    Stream.paginateEffect<Cursor, Page["listed"], UploadError, never>(beginning, (cursor) =>
      Effect.map(pageAt(bucket, cursor), ({ listed, next }) => [listed, next])),
    (listed) =>
      Stream.fromIterable(listed)
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Where a page begins, and how many objects it may have. */
interface Cursor {
  readonly query: Readonly<Record<string, string>>
  readonly count: number
}

interface Page {
  readonly listed: ReadonlyArray<Listed>
  readonly next: Option.Option<Cursor>
}

const beginning: Cursor = { query: {}, count: 1000 }

const pageAt = (bucket: Bucket, cursor: Cursor): Effect.Effect<Page, UploadError> =>
  Effect.gen(function*() {
    const { prefix } = bucket
    const query = {
      "list-type": "2",
      "encoding-type": "url",
      "max-keys": String(cursor.count),
      prefix,
      ...cursor.query
    }
    const { body } = yield* bucket.ask({ method: "GET", key: undefined, subject: "object", query, answerMillis })
    // A page of long keys is larger than an answer may be.
    if (body.length >= answerLimit && cursor.count > 100) {
      return yield* pageAt(bucket, { ...cursor, count: Math.floor(cursor.count / 4) })
    }
    const root = yield* document(bucket, body, "ListBucketResult", "object")
    const decode = root.text("EncodingType") === "url" ? decodeKey : (key: string) => key
    const contents = root.all("Contents").map((content) => ({
      key: decode(content.text("Key") ?? ""),
      size: Number(content.text("Size")),
      etag: content.text("ETag")
    }))
    const listed = contents.flatMap((object): ReadonlyArray<Listed> =>
      object.key.length > prefix.length && object.key.startsWith(prefix) && Number.isSafeInteger(object.size)
        ? [{ ...object, key: object.key.slice(prefix.length) }]
        : []
    )
    if (root.text("IsTruncated") !== "true") return { listed, next: Option.none() }
    const token = root.text("NextContinuationToken")
    const last = contents.at(-1)?.key
    // Where the server knows no tokens, the last key leads on, in the second version of listing as in the first.
    const next: Cursor["query"] | undefined = token !== undefined && token !== ""
      ? { "continuation-token": token }
      : last !== undefined && last !== ""
      ? { marker: last, "start-after": last }
      : undefined
    if (next === undefined || JSON.stringify(next) === JSON.stringify(cursor.query)) {
      return yield* Effect.fail(
        new Rejected({ reason: "Unexpected", detail: `${bucket.name} cannot be listed: a page has no next one.` })
      )
    }
    return { listed, next: Option.some({ query: next, count: cursor.count }) }
  })

const decodeKey = (text: string): string => {
  const spaced = text.replaceAll("+", "%20")
  return Option.getOrElse(Option.liftThrowable(decodeURIComponent)(spaced), () => text)
}
