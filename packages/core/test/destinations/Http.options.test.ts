import { assert, describe, it, vi } from "@effect/vitest"
import { ByteSource, Destination, RetryPolicy, Uploader, UploadError, UploadFile, UploadResult } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import type { Transport } from "@sluice/core/Transport"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect } from "effect"
import type * as http from "node:http"
import { inspect } from "node:util"
import { errorName } from "../support/ErrorName.js"
import { readBody, serve } from "../support/PutServer.js"
import { pattern, sameBytes } from "../support/TestSource.js"

vi.setConfig({ testTimeout: 30_000 })

const mib = 1024 * 1024

interface Seen {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
}

const listening = (status = 201, text = "") =>
  Effect.gen(function*() {
    const seen: Array<Seen> = []
    const running = yield* serve((request, response) =>
      readBody(request, (body) => {
        if (body === undefined) return
        seen.push({ method: request.method, url: request.url, headers: request.headers, body })
        response.writeHead(status, { etag: "\"tag\"" }).end(text)
      })
    )
    return { ...running, seen }
  })

const upload = (
  destination: Effect.Effect<Destination.Destination["Type"], never, Transport>,
  file: UploadFile.UploadFile
) =>
  Effect.gen(function*() {
    const made = yield* destination
    const uploader = yield* Effect.provideService(
      Uploader.make({ retry: RetryPolicy.none }),
      Destination.Destination,
      made
    )
    return yield* uploader.upload(file)
  }).pipe(Effect.provide(TransportNode.layer()), Effect.scoped)

/** What a server makes of a form: what Node's own parser, that of `fetch`, reads. */
const parse = (seen: Seen) =>
  Effect.promise(() =>
    new Response(new Uint8Array(seen.body), { headers: { "content-type": seen.headers["content-type"]! } }).formData()
  )

describe("a form", () => {
  it.scopedLive("carries the file and other fields, of true length, as others read it", () =>
    Effect.gen(function*() {
      const { seen, url } = yield* listening()
      for (const size of [0, 1, 70_000, 3 * mib]) {
        const bytes = pattern(size)
        const file = UploadFile.make("dir/photo 1.png", ByteSource.fromBytes(bytes), { contentType: "image/png" })
        const form = { field: "upload", fields: { key: "photos/{key}", "a\"b": "one\ntwo" } }
        const result = yield* upload(Http.make({ url: `${url}/form?x=1`, form }), file)
        assert(UploadResult.isUploaded(result))
        assert.strictEqual(result.etag, "\"tag\"")
        const request = seen.at(-1)!
        assert.deepStrictEqual([request.method, request.headers["transfer-encoding"]], ["POST", undefined])
        assert.strictEqual(request.headers["content-length"], String(request.body.length))
        const parsed = yield* parse(request)
        assert.deepStrictEqual([...parsed.keys()], ["key", "a\"b", "upload"])
        assert.strictEqual(parsed.get("key"), "photos/dir/photo 1.png")
        assert.strictEqual(parsed.get("a\"b"), "one\r\ntwo")
        const read = parsed.get("upload") as File
        assert.deepStrictEqual([read.name, read.type, read.size], ["photo 1.png", "image/png", size])
        assert.isTrue(sameBytes(new Uint8Array(yield* Effect.promise(() => read.arrayBuffer())), bytes))
      }
    }))

  it.scopedLive("encodes hostile names of files as browsers do", () =>
    Effect.gen(function*() {
      const { seen, url } = yield* listening()
      const names: Readonly<Record<string, string>> = {
        "plain.txt": "plain.txt",
        "a\"; filename=\"b": "a%22; filename=%22b",
        "ü 日本.txt": "ü 日本.txt",
        "100%22": "100%22",
        "a;b=c": "a;b=c",
        "x\r\ncontent-type: evil": "x%0D%0Acontent-type: evil",
        "x\ny": "x%0Ay"
      }
      for (const [name, expected] of Object.entries(names)) {
        yield* upload(Http.make({ url, form: {} }), UploadFile.fromText(`d/${name}`, "content")).pipe(Effect.option)
        const request = seen.pop()
        // Keys with control characters are none, whoever the destination is.
        if (request === undefined) {
          assert.match(name, /[\r\n]/)
          continue
        }
        assert.include(request.body.toString(), `name="file"; filename="${expected}"\r\n`)
        assert.lengthOf(request.body.toString().match(/content-disposition/g) ?? [], 1)
      }
      assert.lengthOf(seen, 0)
    }))

  it.scopedLive("does not let a type of content say more than that", () =>
    Effect.gen(function*() {
      const { seen, url } = yield* listening()
      const file = UploadFile.fromText("a", "x", { contentType: "text/plain\r\nx-evil: 1" })
      yield* upload(Http.make({ url, form: {} }), file)
      assert.notMatch(seen[0]!.body.toString(), /^x-evil/m)
    }))

  it.scopedLive("is no object to look at", () =>
    Effect.gen(function*() {
      const made = yield* Effect.provide(Http.make({ url: "http://x", form: {}, method: "PUT" }), TransportNode.layer())
      assert.deepStrictEqual([made.head, made.read, made.multipart], [undefined, undefined, undefined])
    }))
})

describe("presigned addresses", () => {
  it.scopedLive("are sent the bytes and no header that was not signed", () =>
    Effect.gen(function*() {
      const { seen, url } = yield* listening()
      const plain = `${url}/a?X-Amz-Signature=abc%2Fdef&x=%C3%BC`
      const signed = { url: `${url}/b?sig=1`, headers: { "Content-Type": "text/x", "x-ms-blob-type": "BlockBlob" } }
      const urls = { a: plain, b: signed }
      for (
        const destination of [
          Http.makePresigned({ urls }),
          Http.makePresigned({ urls: new Map(Object.entries(urls)) }),
          Http.makePresigned({ urls: (key) => Effect.succeed(key === "a" ? plain : signed) })
        ]
      ) {
        seen.length = 0
        for (const key of ["a", "b"]) {
          const file = UploadFile.fromText(key, "content", { contentType: "text/html", metadata: { x: "y" } })
          yield* upload(destination, file)
        }
        assert.deepStrictEqual(seen.map(({ method, url }) => [method, url]), [
          ["PUT", "/a?X-Amz-Signature=abc%2Fdef&x=%C3%BC"],
          ["PUT", "/b?sig=1"]
        ])
        assert.deepStrictEqual(Object.keys(seen[0]!.headers).sort(), ["connection", "content-length", "host"])
        assert.deepStrictEqual(
          Object.keys(seen[1]!.headers).sort(),
          ["connection", "content-length", "content-type", "host", "x-ms-blob-type"]
        )
        assert.strictEqual(seen[1]!.headers["content-type"], "text/x")
      }
    }))

  it.scopedLive("that are not in the list are refused, whatever the key is called", () =>
    Effect.gen(function*() {
      for (const key of ["other", "toString", "constructor", "__proto__"]) {
        for (const urls of [{}, new Map<string, string>()]) {
          const error = yield* Effect.flip(upload(Http.makePresigned({ urls }), UploadFile.fromText(key, "x")))
          assert.strictEqual(errorName(error), "Rejected InvalidKey", key)
        }
      }
    }))

  it.scopedLive("are asked for at every attempt, and fail as the one who is asked does", () =>
    Effect.gen(function*() {
      const { url } = yield* listening(500)
      let asked = 0
      const destination = Http.makePresigned({
        urls: () => Effect.sync(() => `${url}/${asked++}`)
      })
      const made = yield* Effect.provide(destination, TransportNode.layer())
      const uploader = yield* Effect.provideService(
        Uploader.make({ retry: RetryPolicy.make({ attempts: 3, base: 0, secondRound: false }) }),
        Destination.Destination,
        made
      )
      yield* Effect.flip(uploader.upload(UploadFile.fromText("a", "x")))
      assert.strictEqual(asked, 3)
      const expired = new UploadError.AuthExpired({ detail: "No more addresses." })
      const failing = Http.makePresigned({ urls: () => Effect.fail(expired) })
      assert.strictEqual(errorName(yield* Effect.flip(upload(failing, UploadFile.fromText("a", "x")))), "AuthExpired")
    }))

  it.scopedLive("are told to nobody with their query, by whatever they fail", () =>
    Effect.gen(function*() {
      const { port, url } = yield* serve((request, response) =>
        readBody(request, () => response.writeHead(403).end(`no ${request.url} ${request.headers["x-token"]}`))
      )
      const headers = { "x-token": "s3cr3t-header" }
      for (
        const address of [
          `${url}/a?sig=s3cr3t-query`,
          `http://127.0.0.1:${port}x/?sig=s3cr3t-query`,
          "http://127.0.0.1:1/?sig=s3cr3t-query",
          "ftp://127.0.0.1/?sig=s3cr3t-query"
        ]
      ) {
        const destination = Http.makePresigned({ urls: { a: { url: address, headers } } })
        const error = yield* Effect.flip(upload(destination, UploadFile.fromText("a", "x")))
        assert.notInclude(inspect(error, { depth: Infinity, showHidden: true }), "s3cr3t", address)
      }
    }))
})

describe("objects that are there already", () => {
  it.scopedLive("are left alone where asked for", () =>
    Effect.gen(function*() {
      const free = yield* listening()
      yield* upload(Http.make({ url: free.url, ifAbsent: true }), UploadFile.fromText("a", "x"))
      assert.strictEqual(free.seen[0]!.headers["if-none-match"], "*")
      yield* upload(Http.make({ url: free.url }), UploadFile.fromText("a", "x"))
      assert.isUndefined(free.seen[1]!.headers["if-none-match"])
      const taken = yield* listening(412)
      const error = yield* Effect.flip(
        upload(Http.make({ url: taken.url, ifAbsent: true }), UploadFile.fromText("a", "x"))
      )
      assert.strictEqual(errorName(error), "Conflict")
    }))
})

describe("removing", () => {
  it.scopedLive("asks the server to delete the object, and takes one that is not there for removed", () =>
    Effect.gen(function*() {
      const outcomes: Array<string> = []
      for (const status of [200, 204, 404, 410, 403, 405, 503]) {
        const { seen, url } = yield* listening(status)
        const { remove } = yield* Http.make({ url: `${url}/files/{key}?v=1`, ifAbsent: true })
        const ended = yield* Effect.either(remove?.("a b/c.txt") ?? Effect.dieMessage("nothing is removed"))
        outcomes.push(ended._tag === "Right" ? "removed" : errorName(ended.left))
        assert.deepInclude(seen[0], { method: "DELETE", url: "/files/a%20b/c.txt?v=1" })
        assert.isUndefined(seen[0]?.headers["if-none-match"])
      }
      const removed = ["removed", "removed", "removed", "removed"]
      const not = ["Rejected Forbidden", "Rejected Unsupported", "Transient Unavailable"]
      assert.deepStrictEqual(outcomes, [...removed, ...not])
    }).pipe(Effect.provide(TransportNode.layer())))

  it.scopedLive("is not for forms, whose addresses are those of scripts", () =>
    Effect.gen(function*() {
      const { remove } = yield* Http.make({ url: "http://127.0.0.1:1/", form: {} })
      assert.isUndefined(remove)
    }).pipe(Effect.provide(TransportNode.layer())))
})
