import { assert, describe, it, vi } from "@effect/vitest"
import { ByteSource, RetryPolicy, UploadFile } from "@sluice/core"
import * as Tus from "@sluice/core/destinations/Tus"
import { Effect, Redacted, Stream } from "effect"
import * as TusModel from "../support/TusModel.js"
import { medium, mib, nth, saying, status, upload } from "../support/TusRun.js"

vi.setConfig({ testTimeout: 10_000 })

describe("a small file", () => {
  it.effect("is one request", () =>
    Effect.gen(function*() {
      const { history, model, outcome } = yield* upload()
      assert.strictEqual(outcome, "stored")
      assert.deepStrictEqual(model.log[0], "OPTIONS /files/: 204")
      assert.deepStrictEqual(history, ["POST /files/ length=5 5 B: 201"])
      assert.deepStrictEqual(
        [...TusModel.metadataOf(model.requests[1]!.headers["upload-metadata"]!)!],
        [["filename", "notes/a b.txt"], ["filetype", "text/plain"]]
      )
      assert.deepStrictEqual(model.requests[1]!.headers, {
        "content-type": "application/offset+octet-stream",
        "tus-resumable": "1.0.0",
        "upload-length": "5",
        "upload-metadata": model.requests[1]!.headers["upload-metadata"]!
      })
    }))

  it.effect("is two requests if the server takes no bytes with the creation", () =>
    Effect.gen(function*() {
      const { history, model } = yield* upload({ model: { extensions: ["creation"] } })
      assert.deepStrictEqual(history, ["POST /files/ length=5: 201", "PATCH /files/1 offset=0 5 B: 204"])
      assert.deepStrictEqual(model.requests[2]!.headers, {
        "content-type": "application/offset+octet-stream",
        "tus-resumable": "1.0.0",
        "upload-offset": "0"
      })
    }))

  it.effect("is requested if the server does not report the bytes that came with the creation", () =>
    Effect.gen(function*() {
      const silently: TusModel.Fault = {
        alter: ({ headers: { location }, status }) => ({ status, headers: { location: location! } })
      }
      const taken = yield* upload({ model: { fault: nth("POST", silently) } })
      assert.deepStrictEqual(taken.history, ["POST /files/ length=5 5 B: 201", "HEAD /files/1: 200"])
      assert.deepStrictEqual([...taken.model.whole().keys()], ["notes/a b.txt"])
      // What says that it takes bytes at once, and does not, is sent them once more, and not asked again.
      const model = new TusModel.Model({ fault: nth("POST", { keep: 0 }) })
      const untaken = yield* upload({ model })
      assert.deepStrictEqual([untaken.outcome, untaken.report.retries, ...untaken.history], [
        "stored",
        0,
        "POST /files/ length=5 5 B: 201",
        "PATCH /files/1 offset=0 5 B: 204"
      ])
    }))

  it.effect("of nothing is created, and that is all", () =>
    Effect.gen(function*() {
      for (const extensions of [TusModel.all, ["creation"]]) {
        const { history, outcome } = yield* upload({
          file: UploadFile.fromText("empty", ""),
          model: { extensions },
          options: { concatenation: false }
        })
        assert.deepStrictEqual([outcome, ...history], ["stored", "POST /files/ length=0: 201"])
      }
    }))

  it.effect("of which the server keeps a part with the creation gets the rest sent, without another attempt", () =>
    Effect.gen(function*() {
      for (
        const [name, extensions] of [["without checksums", TusModel.withoutConcatenation], [
          "with checksums",
          TusModel.all.filter((extension) => extension !== "concatenation")
        ]] as const
      ) {
        const { history, model, outcome, report } = yield* upload({
          model: {
            extensions,
            fault: (request, n) => request.headers["upload-offset"] === "4" || n > 9 ? undefined : { keep: 2 }
          }
        })
        assert.deepStrictEqual(
          [outcome, report.retries, ...history.map((line) => line.replace(/ checksum=\S+ \S+/, ""))],
          [
            "stored",
            0,
            "POST /files/ length=5 5 B: 201",
            "PATCH /files/1 offset=2 3 B: 204",
            "PATCH /files/1 offset=4 1 B: 204"
          ],
          name
        )
        assert.strictEqual(report.bytes.uploaded, 5)
        assert.strictEqual(Buffer.from(model.whole().get("notes/a b.txt")!).toString(), "hello")
      }
    }))

  it.effect("of which the server keeps a part of every request gets through, however small that is", () =>
    Effect.gen(function*() {
      const { history, model, outcome, report } = yield* upload({
        file: medium,
        model: {
          extensions: ["creation"],
          fault: (request) => request.method === "PATCH" ? { keep: 50_000 } : undefined
        },
        uploader: { retry: RetryPolicy.none }
      })
      assert.deepStrictEqual([outcome, report.retries, report.bytes.uploaded], ["stored", 0, mib + 1])
      assert.strictEqual(history.length, 1 + Math.ceil((mib + 1) / 50_000))
      assert.strictEqual(model.whole().get("medium")?.length, mib + 1)
    }))

  it.effect("of which the server keeps a byte of every request gets through, after however many", () =>
    Effect.gen(function*() {
      const { outcome, report } = yield* upload({
        file: UploadFile.fromBytes("k", new Uint8Array(8_000)),
        model: {
          extensions: ["creation"],
          fault: (request) => request.method === "PATCH" ? { keep: 1 } : undefined
        },
        uploader: { retry: RetryPolicy.none }
      })
      assert.deepStrictEqual([outcome, report.retries, report.bytes.uploaded], ["stored", 0, 8_000])
    }))

  it.effect("of which the server keeps nothing more is not sent forever", () =>
    Effect.gen(function*() {
      const { history, outcome } = yield* upload({
        file: medium,
        model: { extensions: ["creation"], fault: (request) => request.method === "PATCH" ? { keep: 0 } : undefined }
      })
      assert.strictEqual(outcome, "Transient Unavailable")
      assert.strictEqual(history.filter((line) => line.startsWith("PATCH")).length, 3)
    }))

  it.effect("that can be read only once fails if the server keeps a part, and says so", () =>
    Effect.gen(function*() {
      const file = UploadFile.make("once", ByteSource.fromStream(Stream.make(new Uint8Array(5)), { size: 5 }))
      const { outcome } = yield* upload({ file, model: { fault: nth("POST", { keep: 2 }) } })
      assert.strictEqual(outcome, "Transient Unavailable")
    }))

  it.effect("of which the server understates what it has is looked up, and stored", () =>
    Effect.gen(function*() {
      const { history, outcome } = yield* upload({ model: { fault: nth("POST", saying({ "upload-offset": "3" })) } })
      assert.deepStrictEqual([outcome, ...history], [
        "stored",
        "POST /files/ length=5 5 B: 201",
        "PATCH /files/1 offset=3 2 B: 409",
        "HEAD /files/1: 200"
      ])
    }))

  it.effect("keeps headers apart from what names and metadata say", () =>
    Effect.gen(function*() {
      const file = UploadFile.fromText("a\r\nb, c", "x", {
        metadata: {
          "Name: x\r\ntus-resumable": "a\r\nb",
          filename: "other",
          "a b": "1",
          "a,b": "2",
          "": "3",
          zoë: "Zoë",
          none: ""
        }
      })
      const { model, outcome } = yield* upload({ file })
      assert.strictEqual(outcome, "stored")
      assert.deepStrictEqual([...TusModel.metadataOf(model.requests[1]!.headers["upload-metadata"]!)!], [
        ["filename", "a\r\nb, c"],
        ["Name:-x-tus-resumable", "a\r\nb"],
        ["a-b", "1"],
        ["zo-", "Zoë"],
        ["none", ""]
      ])
    }))

  it.effect("has its key under the name that is asked for", () =>
    Effect.gen(function*() {
      const { model } = yield* upload({ options: { keyName: "relativePath" } })
      assert.deepStrictEqual([...TusModel.metadataOf(model.requests[1]!.headers["upload-metadata"]!)!].slice(0, 2), [
        ["relativePath", "notes/a b.txt"],
        ["filename", "a b.txt"]
      ])
    }))

  it.effect("reports its address", () =>
    Effect.gen(function*() {
      const told: Array<Tus.Uploaded> = []
      const onStored = (uploaded: Tus.Uploaded) => Effect.sync(() => void told.push(uploaded))
      yield* upload({ options: { onStored }, model: { fault: nth("POST", status(503)) } })
      assert.deepStrictEqual(told, [{ key: "notes/a b.txt", url: `${TusModel.origin}/files/1`, size: 5 }])
    }))
})

describe("a file that is sent after its creation", () => {
  const created = `POST /files/ length=${mib + 1}: 201`
  const sent = `offset=0 ${mib + 1} B`

  it.effect("counts as stored if the answer is lost but the server has it", () =>
    Effect.gen(function*() {
      const { history, outcome } = yield* upload({ file: medium, model: { fault: nth("PATCH", "answerLost") } })
      assert.deepStrictEqual([outcome, ...history], [
        "stored",
        created,
        `PATCH /files/1 ${sent}: 204 lost`,
        "HEAD /files/1: 200"
      ])
    }))

  it.effect("is removed and sent again when it broke", () =>
    Effect.gen(function*() {
      const { history, model } = yield* upload({ file: medium, model: { fault: nth("PATCH", { persist: 1000 }) } })
      assert.deepStrictEqual(history, [
        created,
        `PATCH /files/1 ${sent}: broken after 1000`,
        "HEAD /files/1: 200",
        "DELETE /files/1: 204",
        created,
        `PATCH /files/2 ${sent}: 204`
      ])
      assert.deepStrictEqual([...model.uploads.keys()], ["/files/2"])
    }))

  it.effect("leaves nothing behind, even if it cannot be removed at once", () =>
    Effect.gen(function*() {
      const { history, model } = yield* upload({
        file: medium,
        model: {
          fault: (request, n) =>
            request.method === "PATCH" && n === 1
              ? { persist: 1000 }
              : request.method === "DELETE" && n === 1
              ? status(403)
              : undefined
        }
      })
      assert.deepStrictEqual(history, [
        created,
        `PATCH /files/1 ${sent}: broken after 1000`,
        "HEAD /files/1: 200",
        "DELETE /files/1: 403",
        "DELETE /files/1: 204",
        created,
        `PATCH /files/2 ${sent}: 204`
      ])
      assert.deepStrictEqual([...model.uploads.keys()], ["/files/2"])
    }))

  it.effect("is not removed if the server cannot remove it", () =>
    Effect.gen(function*() {
      const { history } = yield* upload({
        file: medium,
        model: { extensions: ["creation"], fault: nth("PATCH", { persist: 1000 }) }
      })
      assert.deepStrictEqual(history, [
        created,
        `PATCH /files/1 ${sent}: broken after 1000`,
        "HEAD /files/1: 200",
        created,
        `PATCH /files/2 ${sent}: 204`
      ])
    }))
})

describe("an answer", () => {
  const table: ReadonlyArray<
    readonly [answer: readonly [number, Record<string, string>?], outcome: string, requests: number]
  > = [
    [[400], "Rejected Unsupported", 1],
    [[401], "Rejected Unauthorized", 1],
    [[403], "Rejected Forbidden", 1],
    [[404], "Rejected NotFound", 1],
    [[408], "Transient Unavailable", 3],
    [[409], "Conflict", 1],
    [[410], "Rejected NotFound", 1],
    [[412], "Rejected Unsupported", 1],
    [[412, { "tus-version": "0.2.2" }], "Rejected Unsupported", 1],
    [[413], "Rejected TooLarge", 1],
    [[415], "Rejected Unsupported", 1],
    [[423], "Transient Unavailable", 3],
    [[429], "Throttled", 3],
    [[460], "IntegrityMismatch Checksum", 3],
    [[500], "Transient Unavailable", 3],
    [[501], "Rejected Unsupported", 1],
    [[502], "Transient Unavailable", 3],
    [[503], "Transient Unavailable", 3],
    [[503, { "retry-after": "0" }], "Throttled", 3],
    [[507], "Rejected NoSpace", 1],
    [[301, { location: "https://elsewhere.example.org/" }], "Rejected Redirected", 1],
    [[307, { location: "https://tus.example.org/other/" }], "Rejected Redirected", 1],
    [[200], "Rejected Unexpected", 1]
  ]
  for (const [[code, headers], expected, requests] of table) {
    it.effect(`of ${code} ${headers === undefined ? "" : Object.keys(headers)[0]} to a creation is ${expected}`, () =>
      Effect.gen(function*() {
        const { history, outcome } = yield* upload({ model: { fault: nth("POST", status(code, headers), 1, 9) } })
        assert.deepStrictEqual([outcome, history.length], [expected, requests])
      }))
  }

  it.effect("of another version is reported clearly, and before anything is sent if that is known", () =>
    Effect.gen(function*() {
      const text = `${TusModel.url} speaks tus 0.2.2, not 1.0.0.`
      const known = yield* upload({ model: { versions: "0.2.2" } })
      assert.deepStrictEqual([known.outcome, known.error?.detail, known.history], ["Rejected Unsupported", text, []])
      const late = yield* upload({ model: { fault: nth("POST", status(412, { "tus-version": "0.2.2" })) } })
      assert.strictEqual(late.error?.detail, text)
    }))

  it.effect("does not repeat its secrets", () =>
    Effect.gen(function*() {
      const { error } = yield* upload({
        model: { fault: nth("POST", status(403, {}, "no: s3cr3t-token and qu3ry-s3cr3t and h3ad3r-s3cr3t")) },
        options: {
          url: `${TusModel.url}?sig=qu3ry-s3cr3t`,
          credentials: Tus.bearer(Redacted.make("s3cr3t-token")),
          headers: { "X-Secret": "h3ad3r-s3cr3t" }
        }
      })
      assert.include(error?.detail, `${TusModel.url} answered 403: no:`)
      assert.notMatch(JSON.stringify(error), /s3cr3t/)
    }))

  it.effect("to a request for an upload does not reveal its address", () =>
    Effect.gen(function*() {
      const { error } = yield* upload({
        file: medium,
        model: {
          locate: () => "/files/s3cr3t-address?t=s3cr3t-query",
          fault: nth(
            "PATCH",
            status(403, {}, "/files/s3cr3t-address?t=s3cr3t-query is forbidden, s3cr3t-address"),
            1,
            9
          )
        }
      })
      assert.notInclude(JSON.stringify(error), "s3cr3t")
    }))
})

describe("where an upload is", () => {
  const there: ReadonlyArray<readonly [location: string, path: string]> = [
    ["https://tus.example.org/files/x", "/files/x"],
    ["https://tus.example.org:443/files/x?a=b", "/files/x?a=b"],
    ["//tus.example.org/elsewhere/x", "/elsewhere/x"],
    ["/uploads/x", "/uploads/x"],
    ["x", "/files/x"],
    ["./x#part", "/files/x"],
    ["../x y", "/x%20y"]
  ]
  for (const [location, path] of there) {
    it.effect(`may be told as ${location}`, () =>
      Effect.gen(function*() {
        const { history } = yield* upload({ model: { extensions: ["creation"], locate: () => location } })
        assert.deepStrictEqual(history.slice(0, 2), [
          "POST /files/ length=5: 201",
          `PATCH ${path} offset=0 5 B: 404`
        ])
      }))
  }

  const elsewhere: ReadonlyArray<readonly [location: string | undefined, outcome: string]> = [
    ["https://evil.example.org/files/x", "Rejected Redirected"],
    ["//evil.example.org/files/x", "Rejected Redirected"],
    ["http://tus.example.org/files/x", "Rejected Redirected"],
    ["https://tus.example.org:8443/files/x", "Rejected Redirected"],
    ["https://tus.example.org.evil.example.org/x", "Rejected Redirected"],
    ["https://user:password@tus.example.org/files/x", "Rejected Redirected"],
    ["\\\\evil.example.org\\x", "Rejected Redirected"],
    ["file:///etc/passwd", "Rejected Unexpected"],
    ["javascript:alert(1)", "Rejected Unexpected"],
    [undefined, "Rejected Unexpected"]
  ]
  for (const [location, expected] of elsewhere) {
    it.effect(`must not be told as ${location}`, () =>
      Effect.gen(function*() {
        const { history, outcome } = yield* upload({ model: { extensions: ["creation"], locate: () => location } })
        assert.deepStrictEqual([outcome, ...history], [expected, "POST /files/ length=5: 201"])
      }))
  }

  it.effect("must not contain credentials, which a journal would record", () =>
    Effect.gen(function*() {
      const options = {
        headers: { "X-Api-Key": "s3cr3t key", "X-Team": "apollo-eleven" },
        credentials: Tus.bearer(Redacted.make("s3cr3t-token"))
      }
      for (const location of ["x?s3cr3t-token", "s3cr3t%20key", "s3cr3t-tok%65n/x", "x?y=Bearer%20s3cr3t-token"]) {
        const { error, outcome } = yield* upload({
          model: { extensions: ["creation"], locate: () => location },
          options
        })
        assert.strictEqual(outcome, "Rejected Unexpected")
        assert.notInclude(error?.message, "s3cr3t")
      }
      const fine = yield* upload({ model: { extensions: ["creation"], locate: () => "apollo-eleven/x" }, options })
      assert.strictEqual(fine.history[1], "PATCH /files/apollo-eleven/x offset=0 5 B: 404")
    }))
})
