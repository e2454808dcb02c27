import { assert, describe, it } from "@effect/vitest"
import { UploadFile } from "@sluice/core"
import type * as S3 from "@sluice/core/destinations/S3"
import { Effect, Stream } from "effect"
import { failure, text, upload, using } from "../support/S3Answers.js"

const md5Of5 = "XUFAKrxLKna5cZ2REBfFkg=="

const put = (options: Partial<S3.Options>, file?: UploadFile.UploadFile) => upload(() => ({}), options, file)

describe("an address", () => {
  const addresses: ReadonlyArray<readonly [options: Partial<S3.Options>, url: string]> = [
    [{}, "https://examplebucket.s3.us-east-1.amazonaws.com/notes/a%20b.txt"],
    [{ region: "cn-north-1" }, "https://examplebucket.s3.cn-north-1.amazonaws.com.cn/notes/a%20b.txt"],
    [{ bucket: "dotted.bucket" }, "https://s3.us-east-1.amazonaws.com/dotted.bucket/notes/a%20b.txt"],
    [{ pathStyle: true }, "https://s3.us-east-1.amazonaws.com/examplebucket/notes/a%20b.txt"],
    [{ prefix: "a/b=c/" }, "https://examplebucket.s3.us-east-1.amazonaws.com/a/b%3Dc/notes/a%20b.txt"],
    [{ endpoint: "https://s3.example.org:9000" }, "https://s3.example.org:9000/examplebucket/notes/a%20b.txt"],
    [{ endpoint: "https://s3.example.org/store/" }, "https://s3.example.org/store/examplebucket/notes/a%20b.txt"],
    [
      { endpoint: "https://s3.example.org", pathStyle: false },
      "https://examplebucket.s3.example.org/notes/a%20b.txt"
    ],
    [{ endpoint: "http://[::1]:9000" }, "http://[::1]:9000/examplebucket/notes/a%20b.txt"],
    [{ endpoint: "http://127.0.0.1:9000", pathStyle: false }, "http://127.0.0.1:9000/examplebucket/notes/a%20b.txt"]
  ]
  for (const [options, url] of addresses) {
    it.effect(`is ${url}`, () =>
      Effect.gen(function*() {
        const { result, seen } = yield* put(options)
        assert.strictEqual(result._tag, "Right")
        assert.strictEqual(seen[0]?.url, url)
        assert.strictEqual(seen[0]?.headers["host"], new URL(url).host)
      }))
  }

  const hostile: ReadonlyArray<Partial<S3.Options>> = [
    { bucket: "evil.example.org/" },
    { bucket: "a@evil.example.org#" },
    { bucket: "a?b" },
    { bucket: "../b" },
    { bucket: "a..b" },
    { bucket: "" },
    { region: "evil.example.org/" },
    { region: "a@b" },
    { endpoint: "ftp://s3.example.org" },
    { endpoint: "not an address" },
    { endpoint: "https://user:secret@s3.example.org" },
    { endpoint: "https://s3.example.org/?x=secret" },
    { prefix: "/a" },
    { prefix: "../a/" },
    { prefix: "a/./" },
    { storageClass: "A\r\nhost: evil" },
    { headers: { host: "evil.example.org" } },
    { headers: { "Authorization": "x" } },
    { headers: { "a b": "x" } }
  ]
  for (const options of hostile) {
    it.effect(`is refused where it could lead elsewhere: ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        const tried = yield* put(options)
        assert.deepStrictEqual([failure(tried), tried.seen.length], ["Rejected Unsupported", 0])
        assert.notInclude(JSON.stringify(tried.result), "secret")
      }))
  }
})

describe("a key", () => {
  const keys: ReadonlyArray<readonly [key: string, path: string]> = [
    ["a+b", "a%2Bb"],
    ["100%", "100%25"],
    ["a%20b", "a%2520b"],
    ["%2e%2e/a", "%252e%252e/a"],
    ["é", "%C3%A9"],
    ["e\u0301", "e%CC%81"],
    ["😀", "%F0%9F%98%80"],
    ["a\u0001\n\tb", "a%01%0A%09b"],
    ["a\\b", "a%5Cb"],
    ["?#&=;:@,$", "%3F%23%26%3D%3B%3A%40%2C%24"],
    ["!'()*~", "%21%27%28%29%2A~"],
    ["...", "..."],
    ["a..b/.c", "a..b/.c"],
    ["😀".repeat(256), "%F0%9F%98%80".repeat(256)]
  ]
  for (const [key, path] of keys) {
    it.effect(`arrives as it is: ${JSON.stringify(key).slice(0, 40)}`, () =>
      Effect.gen(function*() {
        const { result, seen } = yield* put({}, UploadFile.fromText(key, "hello"))
        assert.strictEqual(result._tag, "Right")
        assert.strictEqual(seen[0]?.url, `https://examplebucket.s3.us-east-1.amazonaws.com/${path}`)
        // Nothing between here and the server makes another address of it.
        assert.strictEqual(new URL(seen[0]?.url ?? "").href, seen[0]?.url)
      }))
  }

  for (const key of ["a".repeat(1_025), "😀".repeat(257), ".", "a/../b", "a/.", "\ud800", ""]) {
    it.effect(`is refused: ${JSON.stringify(key).slice(0, 40)}`, () =>
      Effect.gen(function*() {
        const tried = yield* using(() => ({}), ({ head }) => head!(key))
        assert.deepStrictEqual([failure(tried), tried.seen.length], ["Rejected InvalidKey", 0])
      }))
  }

  it.effect("is as long as it is with its prefix", () =>
    Effect.gen(function*() {
      const file = UploadFile.fromText("a".repeat(1_020), "")
      assert.strictEqual(failure(yield* put({ prefix: "four/" }, file)), "Rejected InvalidKey")
      assert.strictEqual((yield* put({ prefix: "fou/" }, file)).result._tag, "Right")
    }))
})

describe("what goes with an object", () => {
  it.effect("goes into headers, all signed except the one that proxies change", () =>
    Effect.gen(function*() {
      const { seen } = yield* put({
        acl: "private",
        cacheControl: "max-age=60",
        storageClass: "STANDARD_IA",
        serverSideEncryption: "aws:kms",
        kmsKeyId: "key-1",
        tags: { team: "a b", "c&d": "é" },
        metadata: { owner: "all", from: "options" },
        headers: { "Content-Disposition": "attachment" }
      }, UploadFile.fromText("k", "hello", { metadata: { owner: "me" }, modifiedAt: 1_700_000_000_123 }))
      const { authorization = "", ...headers } = seen[0]?.headers ?? {}
      assert.deepStrictEqual(headers, {
        "cache-control": "max-age=60",
        "content-disposition": "attachment",
        "content-type": "application/octet-stream",
        host: "examplebucket.s3.us-east-1.amazonaws.com",
        "x-amz-acl": "private",
        "x-amz-checksum-crc32": "NhCmhg==",
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "x-amz-date": "19700101T000000Z",
        "x-amz-meta-from": "options",
        "x-amz-meta-mtime": "1700000000.123",
        "x-amz-meta-owner": "me",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-tagging": "team=a+b&c%26d=%C3%A9"
      })
      const signed = /SignedHeaders=([^,]*)/.exec(authorization)?.[1]?.split(";")
      assert.deepStrictEqual(signed, Object.keys(headers).filter((name) => name !== "cache-control").sort())
    }))

  it.effect("is encoded in words of at most 75 characters if it is not plain", () =>
    Effect.gen(function*() {
      const values = { long: "ü".repeat(50), spaced: " x ", like: "=?UTF-8?B?eA==?=", plain: "a  b" }
      const { seen } = yield* put({}, UploadFile.fromText("k", "", { metadata: values }))
      const headers = seen[0]?.headers ?? {}
      const words = headers["x-amz-meta-long"]?.split(" ") ?? []
      assert.isTrue(words.length > 1 && words.every((word) => word.length <= 75))
      const decode = (name: string) =>
        (headers[`x-amz-meta-${name}`] ?? "").split(" ").map((word) =>
          Buffer.from(/^=\?UTF-8\?B\?(.*)\?=$/.exec(word)?.[1] ?? "", "base64").toString()
        ).join("")
      assert.deepStrictEqual([decode("long"), decode("spaced"), decode("like")], [
        values.long,
        values.spaced,
        values.like
      ])
      assert.strictEqual(headers["x-amz-meta-plain"], "a  b")
    }))

  it.effect("is refused before anything is sent if S3 would not accept it", () =>
    Effect.gen(function*() {
      const refused = [
        [{ metadata: { a: "x".repeat(2_048) } }, "Rejected TooLarge"],
        [{ metadata: { A: "1", a: "2" } }, "Rejected Unsupported"],
        [{ contentType: "text/plain\r\nx: y" }, "Rejected Unsupported"]
      ] as const
      for (const [options, outcome] of refused) {
        const tried = yield* put({}, UploadFile.fromText("k", "", options))
        assert.deepStrictEqual([failure(tried), tried.seen.length], [outcome, 0])
      }
    }))
})

describe("a provider", () => {
  const absent: Partial<S3.Options> = { ifAbsent: true }
  const providers: ReadonlyArray<
    readonly [options: Partial<S3.Options>, checksum: string, region: string, ifAbsent: "looked" | "refused" | "sent"]
  > = [
    [{}, "x-amz-checksum-crc32", "us-east-1", "sent"],
    [{ endpoint: "https://s3.eu-west-3.amazonaws.com" }, "x-amz-checksum-crc32", "eu-west-3", "sent"],
    [{ endpoint: "https://0a1b.r2.cloudflarestorage.com" }, "content-md5", "auto", "sent"],
    [{ endpoint: "https://s3.us-west-004.backblazeb2.com" }, "content-md5", "us-west-004", "refused"],
    [{ endpoint: "https://storage.googleapis.com" }, "content-md5", "auto", "refused"],
    [{ endpoint: "https://s3.eu-central-1.wasabisys.com" }, "content-md5", "eu-central-1", "looked"],
    [{ endpoint: "https://s3.example.org", provider: "minio" }, "content-md5", "us-east-1", "sent"],
    [{ endpoint: "https://s3.example.org", provider: "ceph" }, "content-md5", "us-east-1", "sent"],
    [{ endpoint: "https://s3.example.org", provider: "swift" }, "content-md5", "us-east-1", "refused"],
    [{ endpoint: "https://s3.example.org", provider: "aws" }, "x-amz-checksum-crc32", "us-east-1", "sent"],
    [{ endpoint: "https://amazonaws.com.example.org" }, "content-md5", "us-east-1", "looked"]
  ]
  for (const [options, checksum, region, ifAbsent] of providers) {
    it.effect(`is known: ${options.provider ?? options.endpoint ?? "AWS"}`, () =>
      Effect.gen(function*() {
        const { seen } = yield* put(options)
        const { headers = {} } = seen.at(-1) ?? {}
        assert.isDefined(headers[checksum])
        assert.strictEqual(/Credential=[^/]*\/\d+\/([^/]*)\//.exec(headers["authorization"] ?? "")?.[1], region)
        const conditional = yield* upload(
          ({ method }) => method === "HEAD" ? { status: 404 } : {},
          { ...options, ...absent }
        )
        assert.deepStrictEqual(
          conditional.seen.map(({ headers, method }) => `${method} ${headers["if-none-match"] ?? ""}`),
          { looked: ["HEAD ", "PUT *"], sent: ["PUT *"], refused: [] }[ifAbsent]
        )
        assert.strictEqual(failure(conditional), ifAbsent === "refused" ? "Rejected Unsupported" : "none")
      }))
  }

  const etags: ReadonlyArray<readonly [headers: Record<string, string>, options: Partial<S3.Options>, stored: string]> =
    [
      [{}, { provider: "swift" }, "IntegrityMismatch Checksum"],
      [{ "x-amz-server-side-encryption": "AES256" }, { provider: "swift" }, "none"],
      [{ "x-amz-server-side-encryption": "aws:kms" }, { provider: "swift" }, "none"],
      [{ "x-amz-server-side-encryption-customer-algorithm": "AES256" }, { provider: "swift" }, "none"]
    ]
  for (const [headers, options, outcome] of etags) {
    it.effect(`has its etag compared where it is an MD5: ${JSON.stringify(headers)} is ${outcome}`, () =>
      Effect.gen(function*() {
        const wrong = { etag: "\"0123456789abcdef0123456789abcdef\"", ...headers }
        assert.strictEqual(failure(yield* upload(() => ({ headers: wrong }), options)), outcome)
        const opaque = { headers: { etag: "\"0123456789abcdef0123456789abcdef-1\"" } }
        assert.strictEqual(failure(yield* upload(() => opaque, options)), "none")
        const right = { headers: { etag: `"${Buffer.from(md5Of5, "base64").toString("hex")}"` } }
        assert.strictEqual(failure(yield* upload(() => right, options)), "none")
      }))
  }

  it.effect("on AWS has an etag that is an MD5 if the server encrypts on its own", () =>
    Effect.gen(function*() {
      const headers = {
        "content-length": "5",
        etag: "\"5d41402abc4b2a76b9719d911017c592\"",
        "x-amz-server-side-encryption": "AES256"
      }
      const aws = yield* using(() => ({ headers }), ({ head }) => Effect.flatten(head!("k")))
      assert.deepInclude(aws.result, { _tag: "Right" })
      assert.include(JSON.stringify(aws.result), md5Of5)
      const swift = yield* using(() => ({ headers }), ({ head }) => Effect.flatten(head!("k")), { provider: "swift" })
      assert.notInclude(JSON.stringify(swift.result), md5Of5)
    }))
})

describe("a listing", () => {
  const page = (contents: string, rest = "") =>
    `<?xml version="1.0"?><ListBucketResult><EncodingType>url</EncodingType>${contents}${rest}</ListBucketResult>`
  const object = (key: string, size = 1) => `<Contents><Key>${key}</Key><Size>${size}</Size><ETag>"e"</ETag></Contents>`
  const keysOf = (pages: (url: URL) => string, options: Partial<S3.Options> = { prefix: "p/" }) =>
    using(
      ({ url }) => pages(new URL(url)),
      ({ list }) => Stream.runCollect(list!).pipe(Effect.map((all) => Array.from(all, ({ key }) => key))),
      options
    )

  it.effect("continues from page to page with tokens, and returns keys as they were put", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* keysOf((url) =>
        url.searchParams.get("continuation-token") === "t/+="
          ? page(object("p/a%2Bb") + object("q/elsewhere") + object("p/"))
          : page(
            object("p/a+b") + object("p/%01"),
            "<IsTruncated>true</IsTruncated><NextContinuationToken>t/+=</NextContinuationToken>"
          )
      )
      assert.deepInclude(result, { right: ["a b", "\u0001", "a+b"] })
      assert.strictEqual(seen.length, 2)
    }))

  it.effect("continues after the last key if the server knows no tokens", () =>
    Effect.gen(function*() {
      const { result } = yield* keysOf((url) =>
        url.searchParams.get("marker") === "p/a"
          ? page(object("p/b"))
          : page(object("p/a"), "<IsTruncated>true</IsTruncated>")
      )
      assert.deepInclude(result, { right: ["a", "b"] })
    }))

  it.effect("fails rather than to go in a circle, or to end too early", () =>
    Effect.gen(function*() {
      const circle = page(
        object("p/a"),
        "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
      )
      assert.strictEqual(failure(yield* keysOf(() => circle)), "Rejected Unexpected")
      assert.strictEqual(
        failure(yield* keysOf(() => page("", "<IsTruncated>true</IsTruncated>"))),
        "Rejected Unexpected"
      )
    }))

  it.effect("ends if pages are empty and name ever new tokens, or repeat", () =>
    Effect.gen(function*() {
      const truncated = (token: number | string) =>
        `<IsTruncated>true</IsTruncated><NextContinuationToken>${token}</NextContinuationToken>`
      let asked = 0
      const circles: ReadonlyArray<() => string> = [
        // Nothing, with ever new tokens.
        () => page("", truncated(asked)),
        // The same page, with ever new tokens.
        () => page(object("p/a"), truncated(asked)),
        // Three pages, round and round, with ever new tokens.
        () => page(object(`p/${asked % 3}`), truncated(asked)),
        // Seven repeating tokens, which do not include the first page.
        () => page(object(`p/${asked}`), truncated(asked % 7)),
        // The same key, without tokens.
        () => page(object("p/a"), "<IsTruncated>true</IsTruncated>")
      ]
      for (const next of circles) {
        asked = 0
        const tried = yield* keysOf(() => {
          asked += 1
          return next()
        })
        assert.strictEqual(failure(tried), "Rejected Unexpected")
        assert.isAtMost(tried.seen.length, 100)
      }
    }))

  it.effect("continues over a number of empty pages", () =>
    Effect.gen(function*() {
      const { result } = yield* keysOf((url) => {
        const at = Number(url.searchParams.get("continuation-token") ?? 0)
        return page(
          at % 40 === 39 ? object(`p/${at}`) : "",
          at < 160 ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${at + 1}</NextContinuationToken>` : ""
        )
      })
      assert.deepInclude(result, { right: ["39", "79", "119", "159"] })
    }))

  it.effect("continues if only the token says that there is more", () =>
    Effect.gen(function*() {
      const { result } = yield* keysOf((url) =>
        url.searchParams.has("continuation-token")
          ? page(object("p/b"))
          : page(object("p/a"), "<NextContinuationToken>t</NextContinuationToken>")
      )
      assert.deepInclude(result, { right: ["a", "b"] })
    }))

  it.effect("does not leave out what it cannot read", () =>
    Effect.gen(function*() {
      for (const size of ["", "-1", "many"]) {
        const tried = yield* keysOf(() => page(`<Contents><Key>p/a</Key><Size>${size}</Size></Contents>`))
        assert.strictEqual(failure(tried), "Rejected Unexpected")
      }
    }))

  it.effect("is read if a server answers with more than was requested", () =>
    Effect.gen(function*() {
      const all = Array.from({ length: 9_000 }, (_, i) => object(`p/${"k".repeat(150)}${i}`))
      const { result, seen } = yield* using(
        () => ({ body: text(page(all.join(""))) }),
        ({ list }) => Stream.runCount(list!),
        { prefix: "p/" }
      )
      assert.deepInclude(result, { right: 9_000 })
      assert.strictEqual(seen.length, 1)
    }))

  it.effect("requests less if a page is larger than an answer may be", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* using(
        ({ url }) => ({
          body: new URL(url).searchParams.get("max-keys") === "1000"
            ? new Uint8Array(1024 * 1024)
            : text(page(object("p/a")))
        }),
        ({ list }) => Stream.runCount(list!),
        { prefix: "p/" }
      )
      assert.deepInclude(result, { right: 1 })
      assert.strictEqual(seen.length, 2)
    }))
})
