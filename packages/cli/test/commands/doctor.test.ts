import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as FileServer from "../support/FileServer.js"
import * as InProcess from "../support/InProcess.js"
import * as S3Server from "../support/S3Server.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"
import * as TusServer from "../support/TusServer.js"

const look = (
  address: string,
  flags: ReadonlyArray<string> = [],
  env: Record<string, string> = {}
) =>
  Effect.map(
    InProcess.run(["doctor", address, "--json", ...flags], { env: { ...S3Server.environment, ...env } }),
    ({ exitCode, stderr, stdout }) => {
      const lines = stdout === "" ? [] : Sluice.jsonLines(stdout)
      const found = lines.slice(0, -1).map(({ check, outcome }) => `${check} ${outcome}`)
      const advice = lines.flatMap(({ advice }) => typeof advice === "string" ? [advice] : []).join("\n")
      return { exitCode, stderr, found, advice, lines, last: lines.at(-1) }
    }
  )

describe("sluice doctor", { timeout: 120_000 }, () => {
  it.scopedLive("finds nothing wrong with a bucket, and leaves nothing in it", () =>
    Effect.gen(function*() {
      const server = yield* S3Server.start()
      const { exitCode, found, last, stderr } = yield* look("s3://bkt/pre", ["--endpoint", server.url])
      assert.strictEqual(exitCode, 0, stderr)
      assert.deepStrictEqual(
        found,
        [
          "server",
          "clock",
          "region",
          "credentials",
          "write",
          "nested",
          "checksum",
          "look",
          "read",
          "list",
          "parts",
          "remove"
        ]
          .map((check) => `${check} ok`)
      )
      assert.deepStrictEqual(last, { _tag: "Checkup", version: 1, works: true, problems: 0, notes: 0 })
      assert.strictEqual(stderr, `Uploads to s3://bkt/pre?endpoint=${server.url} will work.\n`)
      assert.deepStrictEqual([server.stored.size, server.unfinished.size], [0, 0])
    }))

  it.scopedLive("says what is wrong with a bucket, and what to do", () =>
    Effect.gen(function*() {
      const server = yield* S3Server.start()
      const endpoint = ["--endpoint", server.url]
      const typo = yield* look("s3://typo", endpoint)
      assert.strictEqual(typo.exitCode, 4)
      assert.strictEqual(typo.found.at(-1), "write problem")
      assert.include(typo.advice, "Create the bucket")
      const key = yield* look("s3://bkt", endpoint, { AWS_ACCESS_KEY_ID: "AKOTHER" })
      assert.strictEqual(key.exitCode, 4)
      assert.include(key.advice, "does not know the access key")
      const nobody = yield* look("s3://bkt", endpoint, { AWS_ACCESS_KEY_ID: "" })
      assert.strictEqual(nobody.exitCode, 4)
      assert.strictEqual(nobody.found.at(-1), "credentials problem")
      assert.deepStrictEqual([server.stored.size, server.unfinished.size], [0, 0])
    }))

  it.scopedLive("distinguishes notes from problems", () =>
    Effect.gen(function*() {
      const server = yield* S3Server.start({
        ahead: 8 * 60_000,
        headers: { "x-amz-bucket-region": "eu-elsewhere-1" },
        refuse: (method, path) =>
          method === "DELETE" || path.includes("list-type") ? { status: 403, code: "AccessDenied" } : undefined
      })
      const { advice, exitCode, found, lines } = yield* look("s3://bkt", ["--endpoint", server.url])
      assert.strictEqual(exitCode, 0)
      assert.deepStrictEqual(found.filter((it) => !it.endsWith("ok")), [
        "clock note",
        "region note",
        "list note",
        "parts note",
        "remove note"
      ])
      assert.include(advice, "Set the clock")
      assert.include(advice, "--region eu-elsewhere-1")
      assert.include(advice, "s3:ListBucket")
      assert.include(advice, "s3:AbortMultipartUpload")
      assert.include(advice, "s3:DeleteObject")
      const [left = ""] = [...server.stored.keys()].map((key) => key.replace("bkt/", ""))
      assert.include(lines.find(({ check }) => check === "remove")?.["detail"], left)
    }))

  it.scopedLive("says which permission interrupted uploads lack for continuing", () =>
    Effect.gen(function*() {
      const server = yield* S3Server.start({
        refuse: (method, path) =>
          method === "GET" && path.includes("uploadId=") ? { status: 403, code: "AccessDenied" } : undefined
      })
      const { advice, exitCode, found, lines } = yield* look("s3://bkt", ["--endpoint", server.url])
      assert.strictEqual(exitCode, 0)
      assert.deepStrictEqual(found.filter((it) => !it.endsWith("ok")), ["resume note"])
      assert.include(found, "parts ok")
      assert.include(advice, "Allow s3:ListMultipartUploadParts on this bucket")
      assert.include(lines.find(({ check }) => check === "resume")?.["detail"], "start over")
      assert.strictEqual(server.unfinished.size, 0)
    }))

  it.scopedLive("finds out that nothing listens, and that the server does not speak TLS", () =>
    Effect.gen(function*() {
      const server = yield* Effect.scoped(S3Server.start())
      const dead = yield* look("s3://bkt", ["--endpoint", server.url])
      assert.strictEqual(dead.exitCode, 4)
      assert.deepStrictEqual(dead.found, ["server problem"])
      assert.include(dead.advice, "Nothing listens there")
      const { url } = yield* FileServer.start()
      const plain = yield* look(url.replace("http:", "https:"))
      assert.strictEqual(plain.exitCode, 4)
      assert.include(plain.advice, "does not speak TLS")
    }))

  it.scopedLive("checks an HTTP server and a directory", () =>
    Effect.gen(function*() {
      const server = yield* FileServer.start()
      const http = yield* look(`${server.url}/x/?token=canary`)
      assert.strictEqual(http.exitCode, 0, http.stderr)
      assert.include(http.found, "write ok")
      assert.include(http.found, "remove ok")
      assert.strictEqual(server.stored.size, 0)
      assert.notInclude(JSON.stringify(http), "canary")
      const refusing = yield* FileServer.start({ answer: () => 401 })
      const unknown = yield* look(refusing.url)
      assert.strictEqual(unknown.exitCode, 4)
      assert.include(unknown.advice, "SLUICE_HTTP_TOKEN")

      const directory = yield* TemporaryDirectory.make
      const local = yield* look(directory)
      assert.strictEqual(local.exitCode, 0, local.stderr)
      assert.deepStrictEqual(fs.readdirSync(directory), [])
      const absent = yield* look(`${directory}/absent`)
      assert.deepStrictEqual([absent.exitCode, absent.found], [0, ["directory note"]])
      assert.isFalse(fs.existsSync(`${directory}/absent`))
      fs.writeFileSync(`${directory}/file`, "")
      assert.strictEqual((yield* look(`${directory}/file/absent`)).exitCode, 4)
      assert.strictEqual((yield* look("sim:")).exitCode, 2)
    }))

  it.scopedLive("finds out that a server does not create directories, and says what to do", () =>
    Effect.gen(function*() {
      for (const status of [404, 409]) {
        const server = yield* FileServer.start({
          answer: (key, method) => method === "PUT" && key.split("/").length > 2 ? status : 201
        })
        const { advice, exitCode, found, lines } = yield* look(`${server.url}/base`)
        assert.strictEqual(exitCode, 4)
        assert.include(found, "write ok")
        assert.include(found, "nested problem")
        assert.include(advice, "MKCOL")
        assert.include(JSON.stringify(lines), "Files in directories will fail.")
        assert.strictEqual(server.stored.size, 0)
        const nothing = yield* FileServer.start({ answer: (_, method) => method === "PUT" ? status : 200 })
        assert.match((yield* look(`${nothing.url}/base`)).advice, /created there first|MKCOL/)
      }
    }))

  it.scopedLive("claims no check of checksums that it has not seen", () =>
    Effect.gen(function*() {
      const careful = yield* S3Server.start()
      const careless = yield* S3Server.start({ careless: true })
      const seen = (server: S3Server.S3Server, ...flags: ReadonlyArray<string>) =>
        Effect.map(
          look("s3://bkt", ["--endpoint", server.url, ...flags]),
          ({ lines }) => lines.find(({ check }) => check === "checksum")
        )
      assert.deepInclude(yield* seen(careful), {
        outcome: "ok",
        detail: "md5: bytes with a wrong checksum were refused"
      })
      assert.deepInclude(yield* seen(careful, "--provider", "aws"), {
        outcome: "ok",
        detail: "crc32: bytes with a wrong checksum were refused"
      })
      // Its etag is the MD5 of what it has, with which the engine compares.
      assert.include(
        (yield* seen(careless))?.["detail"],
        "reports the checksum of the stored object, and uploads compare it"
      )
      const { detail, outcome } = (yield* seen(careless, "--provider", "aws")) ?? {}
      assert.strictEqual(outcome, "note")
      assert.include(detail, "The destination does not verify crc32")
      assert.deepStrictEqual([careful.stored.size, careless.stored.size], [0, 0])
    }))

  it.scopedLive("finds nothing wrong with a tus server, and leaves nothing there", () =>
    Effect.gen(function*() {
      const { address, uploads } = yield* TusServer.start()
      const { exitCode, found, stderr } = yield* look(address)
      assert.strictEqual(exitCode, 0, stderr)
      assert.deepStrictEqual(
        found,
        ["server ok", "clock ok", "tus ok", "write ok", "checksum note", "look ok", "read ok", "parts ok", "remove ok"]
      )
      assert.strictEqual(uploads.size, 0)
    }))

  it.scopedLive("prints a line for each finding, with advice below it", () =>
    Effect.gen(function*() {
      const server = yield* S3Server.start()
      const { exitCode, stdout } = yield* Sluice.run(["doctor", "s3://typo", "--endpoint", server.url], {
        env: S3Server.environment
      })
      assert.strictEqual(exitCode, 4)
      assert.match(stdout, /^ok {7}clock {8}within 2 s of the server's$/m)
      assert.match(stdout, /^problem {2}write {8}s3:\/\/typo.*NoSuchBucket.*\n {22}Create the bucket/m)
    }))
})
