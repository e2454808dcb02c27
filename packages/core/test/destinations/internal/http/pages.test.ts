/**
 * What a plain HTTP server's answers show: whether a file is stored, how large it is, and why it was refused.
 */
import { assert, describe, it } from "@effect/vitest"
import { Destination, RetryPolicy, Uploader, UploadFile } from "@sluice/core"
import type { Transport } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as Tus from "@sluice/core/destinations/Tus"
import { Effect, Layer, Option } from "effect"
import { answering, failure, text } from "../../../support/S3Answers.js"
import type { Respond } from "../../../support/S3Answers.js"

const html = { "content-type": "text/html" }

const page = {
  headers: { ...html, etag: undefined as never },
  body: text("<!DOCTYPE html><title>Guest &amp; visitor Wi-Fi</title>Log in")
}

const url = "http://host/files"

type Layered = Layer.Layer<Destination.Destination, never, Transport.Transport>

const upload = (respond: Respond, destination: Layered = Http.layer({ url })) => {
  const { layer, seen } = answering(respond)
  return Effect.flatMap(Uploader.Uploader, (uploader) => uploader.upload(UploadFile.fromText("k", "hello"))).pipe(
    Effect.provide(
      Uploader.layer({ retry: RetryPolicy.none }).pipe(Layer.provide(destination), Layer.provide(layer))
    ),
    Effect.either,
    Effect.map((result) => ({
      outcome: failure({ result }),
      message: result._tag === "Left" ? result.left.message : "",
      asked: seen.map(({ headers, method }) => [method, headers["range"] ?? ""].join(" ").trim())
    }))
  )
}

const head = (respond: Respond) => {
  const { layer, seen } = answering(respond)
  return Effect.flatMap(Destination.Destination, (destination) => destination.head!("k")).pipe(
    Effect.provide(Layer.provide(Http.layer({ url }), layer)),
    Effect.either,
    Effect.map((result) => ({
      found: result._tag === "Right" ? Option.getOrUndefined(result.right) : failure({ result }),
      asked: seen.map(({ headers, method }) => [method, headers["range"] ?? ""].join(" ").trim())
    }))
  )
}

describe("a file that a server over HTTP answers with a page for", () => {
  it.effect("is not stored if a portal answers a look in the same way", () =>
    Effect.gen(function*() {
      const portals: ReadonlyArray<Respond> = [
        ({ method }) => method === "HEAD" ? { headers: { ...html, "content-length": "62" } } : page,
        ({ method }) => method === "HEAD" ? { status: 302, headers: { location: "http://portal/" } } : page,
        ({ method }) => method === "HEAD" ? { status: 511 } : page,
        ({ method }) => method === "HEAD" ? { status: 404 } : page,
        ...[201, 202, 203, 226].map((status): Respond => ({ method }) =>
          method === "HEAD" ? { status: 203, headers: { ...html, "content-length": "62" } } : { ...page, status }
        ),
        // The page's details are not those of the file.
        ({ method }) => method === "HEAD" ? { status: 404 } : { ...page, headers: { ...html, etag: "\"e\"" } },
        ({ method }) => method === "HEAD" ? { status: 404 } : { ...page, headers: { ...html, location: "/files/k" } },
        ({ method }) =>
          method === "HEAD"
            ? { status: 404 }
            : { ...page, status: 201, headers: { ...html, location: "/login?to=/files/k" } }
      ]
      for (const portal of portals) {
        const { asked, message, outcome } = yield* upload(portal)
        assert.deepStrictEqual([outcome, asked], ["Transient Unavailable", ["PUT", "HEAD"]])
        assert.include(message, "answered with a web page (Guest & visitor Wi-Fi)")
      }
    }))

  it.effect("is not stored if a portal answers everything in the same way, without a length", () =>
    Effect.gen(function*() {
      const { message, outcome } = yield* upload(() => page)
      assert.strictEqual(outcome, "Transient Unavailable")
      assert.include(message, "answered with a web page")
    }))

  it.effect("is stored if a look shows it, or the server refuses looks", () =>
    Effect.gen(function*() {
      const servers: ReadonlyArray<Respond> = [
        ({ method }) => method === "HEAD" ? { headers: { "content-length": "5" } } : { ...page, status: 201 },
        ({ method }) => method === "HEAD" ? { headers: { "content-length": "5" } } : { ...page, status: 203 },
        ({ method }) => method === "HEAD" ? { status: 405 } : { ...page, status: 201 },
        ({ method }) => method === "HEAD" ? { headers: { "content-length": "5" } } : page,
        ({ method }) => method === "HEAD" ? { status: 405 } : page,
        ({ method }) => method === "HEAD" ? { status: 403 } : page
      ]
      for (const server of servers) assert.strictEqual((yield* upload(server)).outcome, "none")
    }))

  it.effect("is stored without a look if the answer shows it, or is not a page", () =>
    Effect.gen(function*() {
      const answers: ReadonlyArray<Partial<Transport.Answer>> = [
        // As Apache does.
        { ...page, status: 201, headers: { ...html, location: "http://host/files/k" } },
        { ...page, status: 201, headers: { ...html, location: "/files/k" } },
        { headers: html, body: text("ok") },
        { headers: html, body: text("<p>Thank you</p>") },
        { headers: html }
      ]
      for (const answer of answers) {
        const { asked, outcome } = yield* upload(() => answer)
        assert.deepStrictEqual([outcome, asked], ["none", ["PUT"]])
      }
      assert.strictEqual((yield* upload(() => page, Http.layer({ url, form: {} }))).outcome, "none")
    }))

  it.effect("is not stored if its address is presigned, since there is no look", () =>
    Effect.gen(function*() {
      const presigned = Http.layerPresigned({ urls: { k: `${url}/k?s=1` } })
      for (const status of [200, 202, 203]) {
        const { asked, outcome } = yield* upload(() => ({ ...page, status }), presigned)
        assert.deepStrictEqual([outcome, asked], ["Transient Unavailable", ["PUT"]])
      }
      // Nothing in between claims that something was created.
      assert.strictEqual((yield* upload(() => ({ ...page, status: 201 }), presigned)).outcome, "none")
    }))

  it.effect("has the etag of a look, not that of the page", () =>
    Effect.gen(function*() {
      const { layer } = answering(({ method }) =>
        method === "HEAD"
          ? { headers: { "content-length": "5", etag: "\"of the file\"" } }
          : { ...page, headers: { ...html, etag: "\"of the page\"" } }
      )
      const uploaded = yield* Effect.flatMap(
        Uploader.Uploader,
        (uploader) => uploader.upload(UploadFile.fromText("k", "hello"))
      ).pipe(
        Effect.provide(Uploader.layer().pipe(Layer.provide(Http.layer({ url })), Layer.provide(layer)))
      )
      assert.strictEqual(uploaded._tag === "Uploaded" ? uploaded.etag : undefined, "\"of the file\"")
    }))

  it.effect("is not stored if its last part or its end is answered like that", () =>
    Effect.gen(function*() {
      const parts = Http.layer({ url, parts: "contentRange" })
      const kib = 1024
      const run = (respond: Respond) => {
        const { layer } = answering(respond)
        const file = UploadFile.fromBytes("k", new Uint8Array(512 * kib))
        return Effect.flatMap(Uploader.Uploader, (uploader) => uploader.upload(file)).pipe(
          Effect.provide(
            Uploader.layer({ retry: RetryPolicy.none, partSize: 256 * kib, multipartThreshold: kib }).pipe(
              Layer.provide(parts),
              Layer.provide(layer)
            )
          ),
          Effect.either,
          Effect.map((result) => failure({ result }))
        )
      }
      const more = { status: 308, headers: { range: `bytes=0-${256 * kib - 1}` } }
      const server =
        (last: Partial<Transport.Answer>, end: Partial<Transport.Answer>): Respond => ({ headers, method }) =>
          method !== "PUT"
            ? { status: 404 }
            : headers["content-range"]?.startsWith("bytes 0-")
            ? more
            : headers["content-range"]?.startsWith("bytes *")
            ? end
            : last
      const etag = (value: string) => ({ headers: { etag: value } })
      assert.strictEqual(yield* run(server(page, {})), "Transient Unavailable")
      assert.strictEqual(yield* run(server({ status: 201 }, page)), "Transient Unavailable")
      assert.strictEqual(yield* run(server({ status: 201 }, { ...page, status: 203 })), "Transient Unavailable")
      // Of one etag a proxy has made a weak one.
      assert.strictEqual(yield* run(server(etag("\"e\""), etag("W/\"e\""))), "none")
      assert.strictEqual(yield* run(server(etag("\"e\""), etag("\"f\""))), "Conflict")
    }))
})

describe("a tus server", () => {
  it.effect("has stored nothing if a portal answers for it, at any step", () =>
    Effect.gen(function*() {
      const tus = Tus.layer({ url: "http://host/files/", offer: { extensions: ["creation"] } })
      const created = { status: 201, headers: { location: "/files/1", "tus-resumable": "1.0.0" } }
      const steps: ReadonlyArray<Respond> = [
        () => page,
        () => ({ status: 201 }),
        ({ method }) => method === "POST" ? created : page,
        ({ method }) => method === "POST" ? created : { status: 204 }
      ]
      for (const respond of steps) assert.notStrictEqual((yield* upload(respond, tus)).outcome, "none")
    }))
})

describe("a look at an HTTP server that does not report the size", () => {
  it.effect("asks for the first byte", () =>
    Effect.gen(function*() {
      const answers: ReadonlyArray<readonly [get: Partial<Transport.Answer>, found: unknown]> = [
        [{ status: 206, headers: { "content-range": "bytes 0-0/77" } }, { size: 77, etag: "\"e\"" }],
        [{ status: 416, headers: { "content-range": "bytes */0" } }, { size: 0, etag: "\"e\"" }],
        [{ status: 200, headers: { "content-length": "5" } }, { size: 5, etag: "\"e\"" }],
        [{ status: 206, headers: { "content-range": "bytes 0-0/*" } }, "Rejected Unexpected"],
        [{ status: 405 }, "Rejected Unexpected"]
      ]
      for (const [get, found] of answers) {
        const looked = yield* head(({ method }) => method === "HEAD" ? { headers: { etag: "\"e\"" } } : get)
        assert.deepStrictEqual(looked, { found, asked: ["HEAD", "GET bytes=0-0"] })
      }
    }))
})

describe("the reason of a refusal over HTTP", () => {
  const latin1 = (body: string) => Uint8Array.from(body, (character) => character.charCodeAt(0))

  const reasons: ReadonlyArray<readonly [what: string, body: Uint8Array, said: string]> = [
    [
      "the code and the message of an error of S3",
      text(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message>" +
          "<X-Amz-Expires>300</X-Amz-Expires><RequestId>4F2</RequestId><HostId>aGk=</HostId></Error>"
      ),
      "AccessDenied: Request has expired"
    ],
    [
      "those of Azure, after a byte order mark",
      text(
        "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code><Message>No &lt;key&gt;.\nTime: 1</Message></Error>"
      ),
      "AuthenticationFailed: No <key>. Time: 1"
    ],
    [
      "those of WebDAV",
      text(
        "<?xml version=\"1.0\"?><d:error xmlns:d=\"DAV:\" xmlns:s=\"s\"><s:exception>Sabre\\DAV\\Exception\\Locked</s:exception>" +
          "<s:message>It&apos;s locked</s:message></d:error>"
      ),
      "Sabre\\DAV\\Exception\\Locked: It's locked"
    ],
    ["a code alone", text("<Error><RequestId>1</RequestId><Code>EntityTooLarge</Code></Error>"), "EntityTooLarge"],
    ["a page in Latin-1", latin1("<html><p>Zugriff verweigert für café</p></html>"), "Zugriff verweigert für café"],
    ["text between scripts", text("<html><style>p{}</style><script>x<1</script><p>No</p></html>"), "No"]
  ]
  for (const [what, body, said] of reasons) {
    it.effect(`is ${what}`, () =>
      Effect.gen(function*() {
        const { message } = yield* upload(() => ({ status: 403, body }))
        assert.strictEqual(message, `${url} answered 403: ${said}`)
      }))
  }
})
