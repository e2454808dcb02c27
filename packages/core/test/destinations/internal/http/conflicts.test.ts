import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Uploader, UploadFile } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Layer } from "effect"
import { readBody, serve } from "../../../support/PutServer.js"

interface Server {
  /** What the first answers to files that are put are. */
  readonly refusals: number
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly said?: string
  /** What looks are answered, by path: with a status, and 404 for what is not in here. */
  readonly looks?: Readonly<Record<string, number>>
}

/** Uploads a file to a server that refuses it for a while; returns the outcome and the server's requests. */
const uploading = (
  { headers = {}, looks = {}, refusals, said = "", status }: Server,
  { key = "dir/a.txt", ...options }: Partial<Http.Options> & { readonly key?: string } = {}
) =>
  Effect.scoped(Effect.gen(function*() {
    const asked: Array<string> = []
    let left = refusals
    const { url } = yield* serve((request, response) =>
      readBody(request, () => {
        asked.push(`${request.method} ${request.url}`)
        if (request.method === "HEAD") {
          const look = looks[request.url!] ?? 404
          return void response.writeHead(look, look === 200 ? { "content-length": 5 } : {}).end()
        }
        if (left-- > 0) return void response.writeHead(status, headers).end(said)
        response.writeHead(201).end()
      })
    )
    const retry = RetryPolicy.make({ attempts: 4, base: 0, throttledBase: 0, secondRound: false })
    const outcome = yield* Effect.flatMap(
      Uploader.Uploader,
      (uploader) => uploader.upload(UploadFile.fromText(key, "hello"))
    ).pipe(
      Effect.match({ onSuccess: ({ _tag }) => _tag, onFailure: (error) => `${error._tag}: ${error.message}` }),
      Effect.provide(
        Uploader.layer({ retry }).pipe(
          Layer.provide(Http.layer({ url: `${url}/base`, ...options })),
          Layer.provide(TransportNode.layer())
        )
      )
    )
    return { outcome: outcome.replace(url, ""), asked, puts: asked.filter((line) => !line.startsWith("HEAD")).length }
  }))

describe("a file that is locked (423)", () => {
  it.live("is retried until it ends, and is reported as locked if it does not", () =>
    Effect.gen(function*() {
      const freed = yield* uploading({ refusals: 2, status: 423 })
      assert.deepStrictEqual([freed.outcome, freed.puts], ["Uploaded", 3])
      const absent = yield* uploading({ refusals: 2, status: 423 }, { ifAbsent: true })
      assert.deepStrictEqual([absent.outcome, absent.puts], ["Uploaded", 3])
      const held = yield* uploading({
        refusals: 9,
        status: 423,
        said: "<d:error><d:message>Mine.</d:message></d:error>"
      })
      assert.deepStrictEqual([held.outcome, held.puts], ["Transient: /base answered 423: Mine. (it is locked)", 4])
    }))
})

describe("a file that is in conflict (409)", () => {
  const dir = "/base/dir"

  it.live("is retried if the server says when, or that it is temporary", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<Pick<Server, "headers" | "said">> = [
        { headers: { "retry-after": "0" } },
        { said: "The resource is locked." },
        { said: "<D:error xmlns:D='DAV:'><D:message>lock-token-matches-request-uri</D:message></D:error>" },
        { said: "Upload in progress, please try again" },
        { said: "temporarily unavailable" }
      ]
      for (const { headers = {}, said = "" } of cases) {
        const { outcome, puts } = yield* uploading({ refusals: 2, status: 409, headers, said })
        assert.deepStrictEqual([outcome, puts], ["Uploaded", 3], said)
      }
    }))

  it.live("is retried if only its directory exists, and nothing that it could conflict with", () =>
    Effect.gen(function*() {
      for (const status of [200, 301, 403, 405]) {
        const { outcome, puts } = yield* uploading({ refusals: 2, status: 409, looks: { [dir]: status } })
        assert.deepStrictEqual([outcome, puts], ["Uploaded", 3], `${status}`)
      }
      const top = yield* uploading({ refusals: 2, status: 409, looks: { "/base": 200 } }, { key: "a.txt" })
      assert.deepStrictEqual([top.outcome, top.puts], ["Uploaded", 3])
    }))

  it.live("is not retried if its directory is missing, and says so", () =>
    Effect.gen(function*() {
      for (const key of ["dir/a.txt", "a.txt"]) {
        const { outcome, puts } = yield* uploading({ refusals: 9, status: 409 }, { key })
        assert.deepStrictEqual([outcome, puts], [
          "Conflict: /base answered 409 (its directory does not exist, and WebDAV servers do not create it)",
          1
        ])
      }
    }))

  it.live("is not retried if something is there, if nothing can be seen, or if that was requested", () =>
    Effect.gen(function*() {
      const there = yield* uploading({ refusals: 9, status: 409, looks: { [`${dir}/a.txt`]: 200, [dir]: 200 } })
      assert.deepStrictEqual([there.outcome, there.puts], ["Conflict: /base answered 409", 1])
      const unseen = yield* uploading({ refusals: 9, status: 409, looks: { [`${dir}/a.txt`]: 500, [dir]: 500 } })
      assert.deepStrictEqual([unseen.outcome, unseen.puts], ["Conflict: /base answered 409", 1])
      const absent = yield* uploading({ refusals: 9, status: 409, looks: { [dir]: 200 } }, { ifAbsent: true })
      assert.deepStrictEqual([absent.outcome, absent.asked], ["Conflict: /base answered 409", ["PUT /base/dir/a.txt"]])
      const form = yield* uploading({ refusals: 9, status: 409, looks: { [dir]: 200 } }, { form: {} })
      assert.deepStrictEqual([form.outcome, form.asked], ["Conflict: /base answered 409", ["POST /base/dir/a.txt"]])
    }))
})
