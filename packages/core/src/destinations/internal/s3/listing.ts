/**
 * The objects in a bucket, page by page.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Listed } from "../../../Destination.js"
import * as Etag from "../../../internal/values/etag.js"
import { answerLimit, answerMillis } from "../../../Transport.js"
import { Rejected } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import type { Bucket } from "./bucket.js"
import * as Evidence from "./evidence.js"
import * as Xml from "./xml.js"

/** The most empty pages that may follow one another. */
export const maxEmptyPages = 100

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

/** Where a page begins, and the most objects it may have. */
interface Cursor {
  readonly query: Readonly<Record<string, string>>
  readonly count: number
  /** The number of empty pages directly before it. */
  readonly empty: number
  readonly round: Round
}

interface Page {
  readonly listed: ReadonlyArray<Listed>
  readonly next: Option.Option<Cursor>
}

/** An earlier page that others are compared with: the first at each power of two, so that any cycle is detected. */
interface Round {
  readonly query: string
  readonly first: string | undefined
  readonly pages: number
  readonly until: number
}

const beginning: Cursor = {
  query: {},
  count: 1000,
  empty: 0,
  round: { query: "{}", first: undefined, pages: 0, until: 1 }
}

const pageAt = Effect.fnUntraced(function*(bucket: Bucket, cursor: Cursor): Effect.fn.Return<Page, UploadError> {
  const { name, prefix } = bucket
  const query = {
    "list-type": "2",
    "encoding-type": "url",
    "max-keys": String(cursor.count),
    prefix,
    ...cursor.query
  }
  const answer = yield* bucket.ask({
    method: "GET",
    key: undefined,
    subject: "object",
    query,
    answerMillis,
    answerBytes: Xml.largest
  })
  const read = Evidence.document(name, answer, {
    root: "ListBucketResult",
    evidence: ["IsTruncated", "MaxKeys"],
    subject: "object"
  })
  // A page of long keys may exceed the answer limit.
  const isLarge = answer.body.length >= answerLimit && cursor.count > 100
  const root = yield* isLarge ? Effect.option(read) : Effect.asSome(read)
  if (Option.isNone(root)) return yield* pageAt(bucket, { ...cursor, count: Math.floor(cursor.count / 4) })
  return yield* pageOf(bucket, cursor, root.value)
})

const pageOf = Effect.fnUntraced(
  function*({ name, prefix }: Bucket, cursor: Cursor, root: Xml.Element): Effect.fn.Return<Page, UploadError> {
    const failed = (problem: string) =>
      Effect.fail(new Rejected({ reason: "Unexpected", detail: `${name} cannot be listed: ${problem}.` }))
    const contents = root.all("Contents").map((object) => ({
      key: Evidence.keyIn(root, object),
      size: object.count("Size"),
      etag: Etag.read(object.text("ETag"))
    }))
    const listed: Array<Listed> = []
    for (const { etag, key, size } of contents) {
      if (key.length <= prefix.length || !key.startsWith(prefix)) continue
      if (size === undefined) return yield* failed(`it does not report the size of ${key}`)
      listed.push({ key: key.slice(prefix.length), size, etag })
    }
    if (!Evidence.hasMore(root, "NextContinuationToken")) return { listed, next: Option.none() }
    const token = root.text("NextContinuationToken")
    const last = contents.at(-1)?.key
    // If the server has no tokens, the last key leads on, in version 2 of listing as in version 1.
    const next: Cursor["query"] | undefined = token !== undefined && token !== ""
      ? { "continuation-token": token }
      : last !== undefined && last !== ""
      ? { marker: last, "start-after": last }
      : undefined
    const first = contents[0]?.key
    const { round } = cursor
    const text = JSON.stringify(next)
    const isSeen = text === JSON.stringify(cursor.query) || text === round.query ||
      (first !== undefined && first === round.first)
    if (next === undefined || isSeen) return yield* failed("a page does not name the next one")
    const empty = contents.length === 0 ? cursor.empty + 1 : 0
    if (empty >= maxEmptyPages) return yield* failed(`${empty} pages in a row were empty`)
    const pages = round.pages + 1
    const isMark = pages === round.until
    return {
      listed,
      next: Option.some({
        query: next,
        count: cursor.count,
        empty,
        round: isMark ? { query: text, first, pages: 0, until: round.until * 2 } : { ...round, pages }
      })
    }
  }
)
