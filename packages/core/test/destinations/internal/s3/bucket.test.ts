import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Strategy, Transport, Uploader, UploadError, UploadFile } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import { Deferred, Effect, Either, Fiber, Layer, Redacted, Stream, TestClock } from "effect"
import { answering, bucket, credentials, error, failure, text, upload, using } from "../../../support/S3Answers.js"
import type { Respond } from "../../../support/S3Answers.js"

const keyIdOf = (headers: Readonly<Record<string, string>>) =>
  /Credential=(\w+)/.exec(headers["authorization"] ?? "")?.[1]

const counted = (more: (asked: number) => Partial<S3.Credentials> = () => ({})) => {
  const asked = { times: 0 }
  return {
    asked,
    credentials: Effect.sync((): S3.Credentials => {
      asked.times += 1
      return { ...credentials, accessKeyId: `KEY${asked.times}`, ...more(asked.times) }
    })
  }
}

describe("credentials", () => {
  it.effect("are asked for once, however many wait for them", () =>
    Effect.gen(function*() {
      const given = yield* Deferred.make<S3.Credentials>()
      let asked = 0
      const asking = Effect.suspend(() => {
        asked += 1
        return Deferred.await(given)
      })
      const { seen } = yield* using(() => ({ status: 404 }), (destination) =>
        Effect.gen(function*() {
          const all = yield* Effect.fork(Effect.all(
            Array.from({ length: 10 }, (_, i) => destination.head!(`k${i}`)),
            { concurrency: "unbounded" }
          ))
          // All of them have begun.
          yield* Effect.repeatN(Effect.yieldNow(), 100)
          yield* Deferred.succeed(given, credentials)
          yield* Fiber.join(all)
        }), { credentials: asking })
      assert.deepStrictEqual([asked, seen.length], [1, 10])
    }))

  it.effect("are waited for a minute, by all together, whoever gives them", () =>
    Effect.gen(function*() {
      for (const never of [Effect.never, Effect.uninterruptible(Effect.never)]) {
        let asked = 0
        const asking = Effect.suspend(() => {
          asked += 1
          return never
        })
        yield* using(() => ({ status: 404 }), (destination) =>
          Effect.gen(function*() {
            const looks = Array.from({ length: 3 }, (_, i) => Effect.either(destination.head!(`k${i}`)))
            const all = yield* Effect.fork(Effect.all(looks, { concurrency: "unbounded" }))
            yield* TestClock.adjust(60_000)
            const told = (yield* Fiber.join(all)).map(Either.match({
              onLeft: (error) => `${error._tag}: ${error.message}`,
              onRight: () => "found"
            }))
            assert.deepStrictEqual(told, Array(3).fill("AuthExpired: The credentials did not come within a minute."))
          }), { credentials: asking })
        assert.strictEqual(asked, 1)
      }
    }))

  it.effect("are asked for by another who waits, where the one who asked was interrupted", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      let asked = 0
      const asking = Effect.suspend(() => {
        asked += 1
        return asked === 1
          ? Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)
          : Effect.succeed(credentials)
      })
      const { result } = yield* using(() => ({ status: 404 }), (destination) =>
        Effect.gen(function*() {
          const first = yield* Effect.fork(destination.head!("a"))
          yield* Deferred.await(started)
          const second = yield* Effect.fork(destination.head!("b"))
          yield* Fiber.interrupt(first)
          yield* Fiber.join(second)
        }), { credentials: asking })
      assert.deepStrictEqual([result._tag, asked], ["Right", 2])
    }))

  it.effect("that expire are replaced a minute before, without a request that fails", () =>
    Effect.gen(function*() {
      const { asked, credentials } = counted((times) => ({ expiresAt: times * 600_000 }))
      const { seen } = yield* using(() => ({ status: 404 }), ({ head }) =>
        Effect.gen(function*() {
          yield* head!("a")
          yield* TestClock.adjust("539 seconds")
          yield* head!("b")
          yield* TestClock.adjust("1 second")
          yield* head!("c")
        }), { credentials })
      assert.deepStrictEqual(seen.map(({ headers }) => keyIdOf(headers)), ["KEY1", "KEY1", "KEY2"])
      assert.strictEqual(asked.times, 2)
    }))

  it.effect("are not asked for again where new ones are as good as the old", () =>
    Effect.gen(function*() {
      const { asked, credentials } = counted()
      const tried = yield* upload(() => ({ status: 400, body: error("ExpiredToken") }), { credentials })
      assert.deepStrictEqual([failure(tried), asked.times, tried.seen.length], ["AuthExpired", 2, 2])
    }))

  it.effect("that expire again after hours of work are replaced again", () =>
    Effect.gen(function*() {
      const { asked, credentials } = counted()
      const { result } = yield* using(
        (_, index) => index % 2 === 1 ? { status: 400, body: error("ExpiredToken") } : {},
        ({ remove }) => Effect.zipRight(remove!("a"), remove!("b")),
        { credentials }
      )
      assert.deepStrictEqual([result._tag, asked.times], ["Right", 3])
    }))

  it.effect("that cannot be had are asked for once, for all who wait and for those who come after", () =>
    Effect.gen(function*() {
      const refusals = [
        new UploadError.Rejected({ reason: "Unauthorized", detail: "There are no credentials." }),
        new UploadError.AuthExpired({ detail: "The session has expired." })
      ]
      for (const refusal of refusals) {
        let asked = 0
        const asking = Effect.suspend(() => {
          asked += 1
          return Effect.zipRight(Effect.yieldNow(), Effect.fail(refusal))
        })
        const { seen } = yield* using(() => ({ status: 404 }), ({ head }) =>
          Effect.gen(function*() {
            const looks = Array.from({ length: 10 }, (_, i) => Effect.flip(head!(`k${i}`)))
            const all = yield* Effect.all([...looks, ...looks], { concurrency: 4 })
            assert.isTrue(all.every((error) => error === refusal))
            assert.strictEqual(asked, 1)
            yield* TestClock.adjust("31 seconds")
            yield* Effect.flip(head!("later"))
            assert.strictEqual(asked, 2)
          }), { credentials: asking })
        assert.strictEqual(seen.length, 0)
      }
    }))

  it.effect("that cannot be had for now are asked for again, once for all who wait", () =>
    Effect.gen(function*() {
      let asked = 0
      const asking = Effect.suspend(() => {
        asked += 1
        return Effect.zipRight(
          Effect.yieldNow(),
          asked === 1
            ? Effect.fail(new UploadError.Transient({ reason: "Unavailable", detail: "Not yet." }))
            : Effect.succeed(credentials)
        )
      })
      const { result } = yield* using(() => ({ status: 404 }), ({ head }) =>
        Effect.gen(function*() {
          const looks = Array.from({ length: 8 }, (_, i) => Effect.flip(head!(`k${i}`)))
          yield* Effect.all(looks, { concurrency: "unbounded" })
          assert.strictEqual(asked, 1)
          yield* head!("k")
        }), { credentials: asking })
      assert.deepStrictEqual([result._tag, asked], ["Right", 2])
    }))

  it.effect("that cannot be had are the reason of the failure", () =>
    Effect.gen(function*() {
      const none = new UploadError.Rejected({ reason: "Unauthorized", detail: "There are no credentials." })
      assert.strictEqual(
        failure(yield* upload(() => ({}), { credentials: Effect.fail(none) })),
        "Rejected Unauthorized"
      )
    }))

  it.effect("are not in what is said of a failure, even where the server repeats what it was sent", () =>
    Effect.gen(function*() {
      const sessionToken = Redacted.make("canary-session-token")
      const tried = yield* upload(
        ({ headers }) => ({
          status: 403,
          body: error("AccessDenied", `<Message>${Object.values(headers).join(" ")}</Message>`)
        }),
        { credentials: Effect.succeed({ ...credentials, sessionToken }) }
      )
      assert.strictEqual(failure(tried), "Rejected Forbidden")
      const said = JSON.stringify(tried.result)
      const signature = /Signature=(\w+)/.exec(tried.seen[0]?.headers["authorization"] ?? "")?.[1]
      assert.isDefined(signature)
      assert.include(said, "<redacted>")
      for (const secret of ["canary-session-token", signature ?? "", Redacted.value(credentials.secretAccessKey)]) {
        assert.notInclude(said, secret)
      }
    }))
})

describe("a clock that is off", () => {
  const date = "Fri, 24 May 2013 00:00:00 GMT"
  for (const code of ["RequestTimeTooSkewed", "SignatureDoesNotMatch", "AccessDenied"]) {
    it.effect(`is put right once, also where the server says ${code}`, () =>
      Effect.gen(function*() {
        const tried = yield* upload(() => ({ status: 403, headers: { date }, body: error(code) }))
        assert.deepStrictEqual(tried.seen.map(({ headers }) => headers["x-amz-date"]), [
          "19700101T000000Z",
          "20130524T000000Z"
        ])
        assert.include(failure(tried), "Rejected")
      }))
  }

  it.effect("is left alone where it is right within minutes", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse(date) - 200_000)
      const tried = yield* upload(() => ({ status: 403, headers: { date }, body: error("AccessDenied") }))
      assert.strictEqual(tried.seen.length, 1)
    }))
})

describe("what can be put right", () => {
  const skewed = {
    status: 403,
    headers: { date: "Fri, 24 May 2013 00:00:00 GMT" },
    body: error("RequestTimeTooSkewed")
  }
  const mendable: ReadonlyArray<readonly [what: string, answer: Partial<Transport.Answer>]> = [
    ["a clock that is off", skewed],
    [
      "a clock that is off, of which only the document tells",
      { status: 403, body: error("RequestTimeTooSkewed", "<ServerTime>2013-05-24T00:00:00Z</ServerTime>") }
    ],
    [
      "a clock that is off, as the document tells without dashes",
      { status: 403, body: error("RequestTimeTooSkewed", "<ServerTime>20130524T000000Z</ServerTime>") }
    ],
    ["credentials that have expired", { status: 400, body: error("ExpiredToken") }],
    ["another region", { status: 400, body: error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>") }],
    ["another region, by a redirect", { status: 301, headers: { "x-amz-bucket-region": "eu-west-1" } }]
  ]
  for (const [what, answer] of mendable) {
    it.effect(`takes no attempt and no retry, also where there are none: ${what}`, () =>
      Effect.gen(function*() {
        const files = Array.from({ length: 3 }, (_, i) => UploadFile.fromText(`${i}`, "hello"))
        const { layer, seen } = answering((_, index) => index === 1 ? answer : {})
        const report = yield* Effect.flatMap(Uploader.Uploader, (uploader) => uploader.uploadAll(files)).pipe(
          Effect.provide(
            Uploader.layer({ strategy: Strategy.workerPool({ workers: 1 }), retry: RetryPolicy.none }).pipe(
              Layer.provide(S3.layer(bucket)),
              Layer.provide(layer)
            )
          )
        )
        assert.deepStrictEqual(
          [report.files.uploaded, report.attempts, report.retries, report.bytes],
          [3, 3, 0, { total: 15, uploaded: 15, resumed: 0 }]
        )
        assert.deepStrictEqual(seen.map(({ body }) => new TextDecoder().decode(body)), Array(4).fill("hello"))
      }))
  }

  it.effect("is put right one after the other, each once", () =>
    Effect.gen(function*() {
      const answers = [
        { status: 400, body: error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>") },
        skewed,
        { status: 400, body: error("ExpiredToken") }
      ]
      const tried = yield* upload((_, index) => answers[index - 1] ?? {}, {}, undefined, { retry: RetryPolicy.none })
      assert.deepStrictEqual([failure(tried), tried.seen.length], ["none", 4])
      const never = yield* upload((_, index) => answers[(index - 1) % 3] ?? {}, {}, undefined, {
        retry: RetryPolicy.none
      })
      assert.deepStrictEqual([failure(never), never.seen.length], ["Rejected Unsupported", 4])
    }))

  it.effect("is put right for a part of a large file, whose bytes count once", () =>
    Effect.gen(function*() {
      const mib = 1024 ** 2
      const file = UploadFile.fromBytes("big", new Uint8Array(6 * mib))
      const { result, seen } = yield* upload(
        ({ method, url }, index) =>
          index === 2
            ? { status: 400, body: error("ExpiredToken") }
            : method === "PUT"
            ? {}
            : url.endsWith("uploads=")
            ? "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            : "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>",
        {},
        file,
        { retry: RetryPolicy.none, partSize: 5 * mib, multipartThreshold: mib, partConcurrency: 1 }
      )
      assert.deepInclude(result, { _tag: "Right" })
      assert.include(JSON.stringify(result), `"bytes":${6 * mib}`)
      assert.deepStrictEqual(seen.map(({ body, method }) => method === "PUT" ? body.length : method), [
        "POST",
        5 * mib,
        5 * mib,
        mib,
        "POST"
      ])
    }))
})

describe("a bucket in another region", () => {
  const hostOf = (url: string) => new URL(url).host

  it.effect("is found by its header, where an answer has no body", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* using(
        (_, index) =>
          index === 1
            ? { status: 301, headers: { "x-amz-bucket-region": "eu-west-1" } }
            : { headers: { "content-length": "1" } },
        ({ head }) => head!("k")
      )
      assert.strictEqual(result._tag, "Right")
      assert.deepStrictEqual(seen.map(({ url }) => hostOf(url)), [
        "examplebucket.s3.us-east-1.amazonaws.com",
        "examplebucket.s3.eu-west-1.amazonaws.com"
      ])
    }))

  it.effect("is asked where it is, where an answer does not say", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* using(
        ({ method, url }) =>
          method === "HEAD"
            ? { status: 403, headers: { "x-amz-bucket-region": "ap-south-1" } }
            : url.includes("ap-south-1")
            ? {}
            : { status: 400, body: error("IllegalLocationConstraintException") },
        ({ remove }) => remove!("k")
      )
      assert.strictEqual(result._tag, "Right")
      assert.deepStrictEqual(seen.map(({ method }) => method), ["DELETE", "HEAD", "DELETE"])
    }))

  it.effect("is asked where it is, where a look gets no reason", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* using(
        ({ headers, method }) =>
          headers["authorization"]?.includes("/eu-west-1/") === true
            ? { status: 404 }
            : method === "HEAD"
            ? { status: 400 }
            : { status: 400, body: error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>") },
        ({ head }) => head!("k"),
        { provider: "swift", endpoint: "http://127.0.0.1:1" }
      )
      assert.strictEqual(result._tag, "Right")
      assert.deepStrictEqual(seen.map(({ method }) => method), ["HEAD", "HEAD", "GET", "HEAD"])
    }))

  it.effect("is not looked for round and round", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* using(
        (_, index) => ({ status: 301, headers: { "x-amz-bucket-region": `eu-west-${index}` } }),
        ({ remove }) => remove!("k")
      )
      assert.deepStrictEqual([failure({ result }), seen.length], ["Rejected Redirected", 2])
    }))

  it.effect("is read there, too", () =>
    Effect.gen(function*() {
      const { result } = yield* using(
        (_, index) =>
          index === 1
            ? { status: 400, body: error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>") }
            : "hello",
        ({ read }) => Stream.runCollect(Stream.decodeText(read!("k")))
      )
      assert.include(JSON.stringify(result), "hello")
    }))
})

describe("a hostile answer", () => {
  const failing = (respond: Respond) => Effect.map(upload(respond), (tried) => [failure(tried), tried.seen.length])

  it.effect("does not lead to another host", () =>
    Effect.gen(function*() {
      const location = "https://evil.example.org/"
      const tried = yield* upload(() => ({
        status: 307,
        headers: { location, "x-amz-bucket-region": "evil.example.org/" },
        body: error("TemporaryRedirect", "<Endpoint>evil.example.org</Endpoint>")
      }))
      assert.strictEqual(failure(tried), "Rejected Redirected")
      for (const { url } of tried.seen) {
        assert.strictEqual(new URL(url).host, "examplebucket.s3.us-east-1.amazonaws.com")
      }
    }))

  for (const header of ["-1", "NaN", "", "tomorrow"]) {
    it.effect(`is not obeyed where it asks to wait for ${JSON.stringify(header)}`, () =>
      Effect.gen(function*() {
        const { result } = yield* upload(() => ({
          status: 503,
          headers: { "retry-after": header },
          body: error("SlowDown")
        }))
        assert.strictEqual(failure({ result }), "Throttled")
        assert.notInclude(JSON.stringify(result), "retryAfterMillis")
      }))
  }

  it.effect("is obeyed where it asks to wait for a while", () =>
    Effect.gen(function*() {
      const waits: ReadonlyArray<readonly [headers: Record<string, string>, millis: number]> = [
        [{ "retry-after": "1.5" }, 1_500],
        // The policy caps it.
        [{ "retry-after": "99999999999" }, 86_400_000],
        [{ "x-amz-retry-after": "99999999999" }, 86_400_000],
        [{ "retry-after": "Thu, 01 Jan 1970 00:01:00 GMT" }, 60_000],
        [{ "x-amz-retry-after": "250", "retry-after": "9" }, 250]
      ]
      for (const [headers, retryAfterMillis] of waits) {
        const { result } = yield* using(() => ({ status: 503, headers }), ({ remove }) => remove!("k"))
        assert.deepInclude(result, { _tag: "Left" })
        assert.include(JSON.stringify(result), `"retryAfterMillis":${retryAfterMillis}`)
      }
    }))

  it.effect("in XML is not read where it is no XML that S3 would send", () =>
    Effect.gen(function*() {
      const bodies: ReadonlyArray<Uint8Array> = [
        text("<!DOCTYPE e [<!ENTITY a \"x\">]><Error><Code>SlowDown</Code></Error>"),
        text("<!doctype e><Error><Code>SlowDown</Code></Error>"),
        text("<Error><Code>&a;</Code></Error>"),
        text(`<Error>${"<a>".repeat(20_000)}`),
        text(`<Error>${"<a>".repeat(17)}${"</a>".repeat(17)}<Code>SlowDown</Code></Error>`),
        text("<Error><Code>SlowDown</Code>"),
        text("<Error><Code>SlowDown</Code></Error><Error/>"),
        text(`<Error><Message>${"x".repeat(100_000)}</Message><Code>SlowDown</Code></Error>`),
        Uint8Array.of(...text("<Error><Code>SlowDown</Code><M>"), 0xff, 0xfe, ...text("</M></Error>")),
        new Uint8Array(Transport.answerLimit).fill(60)
      ]
      for (const body of bodies) {
        // As far as its status goes, it is read.
        assert.deepStrictEqual(yield* failing(() => ({ status: 403, body })), ["Rejected Forbidden", 1])
      }
      const predefined = error("AccessDenied", "<Message>a &lt;b&gt; &#65;\n c</Message>")
      const { result } = yield* upload(() => ({ status: 403, body: predefined }))
      assert.include(JSON.stringify(result), "a <b> A")
    }))

  it.effect("of 200 that holds an error is none of success", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* failing(() => ({ body: error("InternalError") })), ["Transient Unavailable", 3])
      assert.deepStrictEqual(yield* failing(() => ({ body: error("SlowDown") })), ["Throttled", 3])
    }))

  it.effect("to a look, without a size, is no object", () =>
    Effect.gen(function*() {
      assert.strictEqual(failure(yield* using(() => ({}), ({ head }) => head!("k"))), "Rejected Unexpected")
    }))
})

describe("an object that is to be absent", () => {
  const size = { "content-length": "5", "x-amz-checksum-crc32": "NhCmhg==", "x-amz-meta-mtime": "1.5" }
  const lost = { status: 500, body: error("InternalError") }
  const there = { status: 412, body: error("PreconditionFailed") }

  it.effect("and is there because the answer to its upload was lost, is uploaded", () =>
    Effect.gen(function*() {
      const { result, seen } = yield* upload(
        ({ method }, index) => method === "HEAD" ? { headers: size } : index === 1 ? lost : there,
        { ifAbsent: true }
      )
      assert.deepStrictEqual([result._tag, seen.map(({ method }) => method)], ["Right", ["PUT", "PUT", "HEAD"]])
    }))

  it.effect("and is another's, is a conflict", () =>
    Effect.gen(function*() {
      const others = [{ ...size, "x-amz-meta-mtime": "9" }, { ...size, "x-amz-checksum-crc32": "AAAAAA==" }, {
        "content-length": "5"
      }]
      for (const headers of others) {
        const tried = yield* upload(
          ({ method }, index) => method === "HEAD" ? { headers } : index === 1 ? lost : there,
          { ifAbsent: true }
        )
        assert.strictEqual(failure(tried), "Conflict")
      }
      const first = yield* upload(() => there, { ifAbsent: true })
      assert.deepStrictEqual([failure(first), first.seen.length], ["Conflict", 1])
    }))
})

describe("a removal", () => {
  it.effect("succeeds where there is nothing, and fails where there is no bucket", () =>
    Effect.gen(function*() {
      const remove = (code: string) =>
        using(() => ({ status: 404, body: error(code) }), (destination) => destination.remove!("k"))
      assert.strictEqual((yield* remove("NoSuchKey")).result._tag, "Right")
      assert.strictEqual(failure(yield* remove("NoSuchBucket")), "Rejected NotFound")
      const { seen } = yield* using(() => ({ status: 204 }), (destination) => destination.remove!("a b"))
      assert.deepStrictEqual(seen.map(({ method, url }) => [method, new URL(url).pathname]), [["DELETE", "/a%20b"]])
    }))
})
