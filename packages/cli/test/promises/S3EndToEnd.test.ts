import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as InProcess from "../support/InProcess.js"
import * as S3Server from "../support/S3Server.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const run = (server: S3Server.S3Server, args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  InProcess.run([...args, "--endpoint", server.url], { env: { ...S3Server.environment, ...env } })

const textsIn = (server: S3Server.S3Server) =>
  Object.fromEntries([...server.stored].map(([key, { body }]) => [key, body.toString()]))

const odd = {
  "a.txt": "a",
  "empty": "",
  "with space/naïve café.txt": "1",
  "写真/日本語 🎉.jpg": "2",
  "100% %2e%2e %41+b.txt": "3",
  "#hash & 'quote' \"double\" ; $HOME `x` !*().txt": "4",
  "?query=1&x.txt": "5"
}

describe("sluice and S3", { timeout: 120_000 }, () => {
  it.scopedLive("uploads a tree with odd names, and agrees that it is there", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(odd)
      const server = yield* S3Server.start()
      const to = ["s3://bkt/pre/fix", "--endpoint", server.url]
      const env = S3Server.environment
      const upload = yield* Sluice.run(["upload", root, ...to, "--metadata", "project=apollo"], { env })
      assert.strictEqual(upload.exitCode, 0, upload.stderr)
      assert.deepStrictEqual(
        textsIn(server),
        Object.fromEntries(Object.entries(odd).map(([key, text]) => [`bkt/pre/fix/${key}`, text]))
      )
      assert.include(server.stored.get("bkt/pre/fix/a.txt")?.headers, { "x-amz-meta-project": "apollo" })
      const verify = yield* Sluice.run(["verify", root, ...to], { env })
      assert.strictEqual(verify.exitCode, 0, verify.stderr)
      assert.match(verify.stderr, /^Verified: 7 files the same/m)
      fs.writeFileSync(`${root}/a.txt`, "b")
      assert.strictEqual((yield* run(server, ["verify", root, "s3://bkt/pre/fix"])).exitCode, 1)
    }))

  /** An environment in which the profile `team` contains everything that S3 needs. */
  const withProfile = (server: S3Server.S3Server) =>
    Effect.map(
      TemporaryDirectory.withFiles({
        ".aws/config":
          `[profile team]\nregion = eu-team-1\nservices = local\n[services local]\ns3 =\n  endpoint_url = ${server.url}\n`,
        ".aws/credentials": "[team]\naws_access_key_id = AKCLI\naws_secret_access_key = secret-of-the-tests\n"
      }),
      (home) => ({
        ...S3Server.environment,
        HOME: home,
        AWS_ACCESS_KEY_ID: "",
        AWS_REGION: "",
        AWS_CONFIG_FILE: "",
        AWS_SHARED_CREDENTIALS_FILE: ""
      })
    )

  it.scopedLive("takes endpoint, region and credentials from a profile", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      const server = yield* S3Server.start()
      const env = yield* withProfile(server)
      for (const command of ["upload", "verify"]) {
        const { exitCode, stderr } = yield* InProcess.run([command, root, "s3://bkt", "--profile", "team"], { env })
        assert.strictEqual(exitCode, 0, stderr)
      }
      assert.deepStrictEqual(textsIn(server), { "bkt/a.txt": "a" })
      assert.include(server.stored.get("bkt/a.txt")?.headers.authorization, "/eu-team-1/s3/")
      const doctor = yield* InProcess.run(["doctor", "s3://bkt"], { env: { ...env, AWS_PROFILE: "team" } })
      assert.strictEqual(doctor.exitCode, 0, doctor.stdout)
      assert.match(doctor.stdout, /^ok +region +eu-team-1$/m)
    }))

  it.scopedLive("takes them from a profile whether its input and output are pipes, sockets or files", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", "src/z.txt": "z", "b.txt": "b" })
      const server = yield* S3Server.start()
      const env = yield* withProfile(server)
      const uploadIn = { env, cwd: root, redirect: "2>&1 | cat" }
      const ended = [
        yield* Sluice.run(["upload", "src", "s3://bkt", "--profile", "team"], uploadIn),
        yield* Sluice.run(["upload", "-", "s3://bkt/1.txt", "--profile", "team"], { ...uploadIn, input: "1" }),
        yield* Sluice.run(["upload", "-", "s3://bkt/b.txt", "--profile", "team"], {
          ...uploadIn,
          input: { file: `${root}/b.txt` }
        }),
        yield* Sluice.run(["verify", "src", "s3://bkt", "--profile", "team"], uploadIn),
        yield* Sluice.run(["upload", "src", "s3://bkt", "--profile", "team", "--json"], {
          ...uploadIn,
          redirect: "> out 2>&1"
        })
      ]
      for (const { stderr, stdout } of ended) assert.notInclude(stdout + stderr, "sluice:")
      assert.notInclude(fs.readFileSync(`${root}/out`, "utf8"), "sluice:")
      assert.deepStrictEqual(textsIn(server), {
        "bkt/a.txt": "a",
        "bkt/z.txt": "z",
        "bkt/1.txt": "1",
        "bkt/b.txt": "b"
      })
    }))

  it.scopedLive("sends large files in parts, with the object settings from flags", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const content = "0123456789abcdef".repeat(11 * 65_536)
      fs.writeFileSync(`${root}/large.bin`, content)
      const server = yield* S3Server.start()
      const flags = [
        "--part-size",
        "5MiB",
        "--storage-class",
        "COLD",
        "--acl",
        "private",
        "--cache-control",
        "no-store",
        "--header",
        "X-Amz-Server-Side-Encryption: AES256",
        "--header",
        "x-amz-tagging: team=apollo"
      ]
      const { exitCode, stderr } = yield* run(server, ["upload", root, "s3://bkt", ...flags])
      assert.strictEqual(exitCode, 0, stderr)
      assert.isTrue(server.stored.get("bkt/large.bin")?.body.equals(Buffer.from(content)))
      assert.deepStrictEqual([...server.unfinished], [])
      assert.include(server.requests, "POST bkt/large.bin uploads")
      fs.rmSync(`${root}/large.bin`)
      fs.writeFileSync(`${root}/small`, "x")
      yield* run(server, ["upload", root, "s3://bkt", ...flags])
      assert.include(server.stored.get("bkt/small")?.headers, {
        "x-amz-storage-class": "COLD",
        "x-amz-acl": "private",
        "cache-control": "no-store",
        "x-amz-server-side-encryption": "AES256",
        "x-amz-tagging": "team=apollo"
      })
      const forbidden = yield* run(server, ["upload", root, "s3://bkt", "--header", "If-None-Match: *"])
      assert.strictEqual(forbidden.exitCode, 4)
      assert.include(forbidden.stderr, "The header \"if-none-match\" cannot be sent with objects.")
      const secret = ["--header", "x-amz-server-side-encryption-customer-key: c2VjcmV0"]
      const refused = yield* run(server, ["upload", root, "s3://bkt", ...secret])
      assert.strictEqual(refused.exitCode, 2)
      assert.include(refused.stderr, "looks like a secret")
    }))

  it.scopedLive("leaves existing objects alone with --if-absent", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "new", "b.txt": "b" })
      const server = yield* S3Server.start()
      server.stored.set("bkt/a.txt", { body: Buffer.from("old"), headers: {} })
      const { exitCode, stderr } = yield* run(server, ["upload", root, "s3://bkt", "--if-absent"])
      assert.strictEqual(exitCode, 1)
      assert.match(stderr, /^Failed 1 file:\n {2}a\.txt: /m)
      assert.deepStrictEqual(textsIn(server), { "bkt/a.txt": "old", "bkt/b.txt": "b" })
    }))

  it.scopedLive("takes the server from the environment, and does not confuse two of them", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a", "refused.txt": "b" })
      const refuse: S3Server.Options["refuse"] = (method, path) =>
        method === "PUT" && path.includes("refused") ? { status: 403, code: "AccessDenied" } : undefined
      const [one, two] = [yield* S3Server.start({ refuse }), yield* S3Server.start({ refuse })]
      const state = yield* TemporaryDirectory.make
      const environment = (url: string) => ({
        ...S3Server.environment,
        AWS_ENDPOINT_URL_S3: url,
        XDG_STATE_HOME: state
      })
      for (const server of [one, two]) {
        const ended = yield* InProcess.run(["upload", root, "s3://bkt"], { env: environment(server.url) })
        assert.strictEqual(ended.exitCode, 1, ended.stderr)
        assert.deepStrictEqual(textsIn(server), { "bkt/a.txt": "a" })
      }
      // A journal of what is not done yet stays.
      const journals = fs.readdirSync(`${state}/sluice`)
      assert.lengthOf(journals, 2)
    }))

  it.scopedLive("continues where it failed, lists what is kept, and aborts it anywhere", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      fs.writeFileSync(`${root}/large.bin`, "0123456789abcdef".repeat(25 * 65_536))
      const state = yield* TemporaryDirectory.make
      let refusing = true
      const server = yield* S3Server.start({
        refuse: (method, path) =>
          refusing && method === "PUT" && path.includes("partNumber=5") ? { status: 503, code: "SlowDown" } : undefined
      })
      const env = { ...S3Server.environment, XDG_STATE_HOME: state }
      // One after the other, so that the others are stored when the last one fails.
      const args = ["upload", root, "s3://bkt/p", "--endpoint", server.url, "--part-size", "5MiB", "--retries", "0"]
        .concat("--part-concurrency", "1")
      const first = yield* Sluice.run(args, { env })
      assert.strictEqual(first.exitCode, 4, first.stderr)
      const listed = yield* Sluice.run(["uploads", "ls", "--json"], { env })
      const destination = `s3://bkt/p?endpoint=${server.url}`
      assert.deepInclude(Sluice.jsonLines(listed.stdout)[0], { destination, key: "large.bin" })
      refusing = false
      const parts = () => server.requests.filter((it) => it.startsWith("PUT bkt/p/large.bin partNumber")).length
      const before = parts()
      const second = yield* Sluice.run(args, { env })
      assert.strictEqual(second.exitCode, 0, second.stderr)
      assert.strictEqual(parts() - before, 1)
      assert.strictEqual(server.stored.get("bkt/p/large.bin")?.body.length, 25 * 1024 ** 2)

      refusing = true
      fs.writeFileSync(`${root}/large.bin`, "fedcba9876543210".repeat(25 * 65_536))
      yield* Sluice.run(args, { env })
      assert.strictEqual(server.unfinished.size, 1)
      // The current environment does not matter for uploads that were begun earlier.
      const aborted = yield* Sluice.run(["uploads", "abort", "--all"], {
        env: { ...env, AWS_ENDPOINT_URL: "http://x:1" }
      })
      assert.strictEqual(aborted.exitCode, 0, aborted.stderr)
      assert.strictEqual(server.unfinished.size, 0)
    }))

  it.scopedLive("starts a file over whose parts it may not list, after the same command was killed", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const content = "0123456789abcdef".repeat(25 * 65_536)
      fs.writeFileSync(`${root}/large.bin`, content)
      const state = yield* TemporaryDirectory.make
      let isDown = true
      const server = yield* S3Server.start({
        refuse: (method, path) =>
          isDown && method === "PUT" && path.includes("partNumber=5")
            ? { status: 503, code: "SlowDown" }
            : method === "GET" && path.includes("uploadId=")
            ? { status: 403, code: "AccessDenied" }
            : undefined
      })
      const env = { ...S3Server.environment, XDG_STATE_HOME: state }
      const args = ["upload", root, "s3://bkt", "--endpoint", server.url, "--part-size", "5MiB", "--retries", "0"]
        .concat("--part-concurrency", "1")
      assert.strictEqual((yield* InProcess.run(args, { env })).exitCode, 4)
      const [old] = server.unfinished.keys()
      isDown = false
      const { exitCode, stderr } = yield* InProcess.run(args, { env })
      assert.strictEqual(exitCode, 0, stderr)
      assert.include(server.requests, "DELETE bkt/large.bin uploadId")
      assert.isTrue(server.stored.get("bkt/large.bin")?.body.equals(Buffer.from(content)))
      assert.isDefined(old)
      assert.deepStrictEqual([...server.unfinished.keys()], [])
    }))

  it.scopedLive("aborts uploads whose parts it may not list", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      fs.writeFileSync(`${root}/large.bin`, "0123456789abcdef".repeat(25 * 65_536))
      const state = yield* TemporaryDirectory.make
      for (
        const [status, code] of [[403, "AccessDenied"], [405, "MethodNotAllowed"], [501, "NotImplemented"]] as const
      ) {
        const server = yield* S3Server.start({
          refuse: (method, path) =>
            method === "PUT" && path.includes("partNumber=5")
              ? { status: 503, code: "SlowDown" }
              : method === "GET" && path.includes("uploadId=")
              ? { status, code }
              : undefined
        })
        const env = { ...S3Server.environment, XDG_STATE_HOME: state }
        const args = ["upload", root, "s3://bkt", "--endpoint", server.url, "--part-size", "5MiB", "--retries", "0"]
          .concat("--part-concurrency", "1")
        yield* InProcess.run(args, { env })
        assert.strictEqual(server.unfinished.size, 1)
        const aborted = yield* InProcess.run(["uploads", "abort", "--all"], { env })
        assert.strictEqual(aborted.exitCode, 0, aborted.stderr)
        assert.deepStrictEqual([server.unfinished.size, server.stored.size], [0, 0])
      }
    }))

  it.scopedLive("keeps nothing of a large file that is refused since its key is taken", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      fs.writeFileSync(`${root}/large.bin`, "0123456789abcdef".repeat(11 * 65_536))
      const server = yield* S3Server.start({
        refuse: (method, path) =>
          method === "POST" && path.includes("uploadId=") ? { status: 412, code: "PreconditionFailed" } : undefined
      })
      const { exitCode, stderr } = yield* run(server, [
        "upload",
        root,
        "s3://bkt",
        "--part-size",
        "5MiB",
        "--if-absent"
      ])
      assert.strictEqual(exitCode, 1, stderr)
      assert.notInclude(stderr, "Kept the stored part")
      assert.strictEqual(server.unfinished.size, 0)
    }))

  it.scopedLive("leaves alone large files that are there, at a server that does not heed the condition", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      fs.writeFileSync(`${root}/large.bin`, "0123456789abcdef".repeat(11 * 65_536))
      const server = yield* S3Server.start()
      server.stored.set("bkt/large.bin", { body: Buffer.from("old"), headers: {} })
      const { exitCode, stderr } = yield* run(server, [
        "upload",
        root,
        "s3://bkt",
        "--part-size",
        "5MiB",
        "--if-absent"
      ])
      assert.strictEqual(exitCode, 1, stderr)
      assert.deepStrictEqual(textsIn(server), { "bkt/large.bin": "old" })
      assert.strictEqual(server.unfinished.size, 0)
    }))

  it.scopedLive("says what is wrong with two odd names among many, and does not blame the bucket", () =>
    Effect.gen(function*() {
      const good = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`${i}.txt`, "x"]))
      const root = yield* TemporaryDirectory.withFiles({ ...good, "odd\\a": "a", "odd\\b": "b" })
      const state = yield* TemporaryDirectory.make
      const codes = ["NoSuchKey", "XMinioInvalidObjectName", "InvalidRequest"]
      for (const code of codes) {
        const server = yield* S3Server.start({
          refuse: (method, path) =>
            method === "PUT" && path.includes("odd") ? { status: code === "NoSuchKey" ? 404 : 400, code } : undefined
        })
        const env = { ...S3Server.environment, XDG_STATE_HOME: state }
        for (const round of ["first", "again, with the others stored before"]) {
          const ended = yield* InProcess.run(["upload", root, "s3://bkt", "--endpoint", server.url], { env })
          assert.strictEqual(ended.exitCode, 1, `${code} ${round}: ${ended.stderr}`)
          assert.include(ended.stderr, `${code}: Said by the test.`)
          assert.notInclude(ended.stderr, "Create the bucket")
        }
      }
    }))

  it.scopedLive("says what is wrong before it begins", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      const server = yield* S3Server.start()
      const nobody = yield* run(server, ["upload", root, "s3://bkt"], { AWS_ACCESS_KEY_ID: "" })
      assert.strictEqual(nobody.exitCode, 4)
      assert.include(nobody.stderr, "There are no credentials for S3. Set AWS_ACCESS_KEY_ID")
      const profile = yield* run(server, ["upload", root, "s3://bkt", "--profile", "absent"])
      assert.strictEqual(profile.exitCode, 4)
      assert.include(profile.stderr, "the profile \"absent\" does not exist")
      assert.deepStrictEqual(server.requests, [])
      const bucket = yield* run(server, ["upload", root, "s3://typo"])
      assert.strictEqual(bucket.exitCode, 4)
      assert.include(bucket.stderr, "NoSuchBucket")
      assert.include(bucket.stderr, "Run sluice doctor to find out what is wrong")
      const flag = yield* InProcess.run(["upload", root, `${root}-to`, "--storage-class", "COLD"])
      assert.strictEqual(flag.exitCode, 2)
      assert.include(flag.stderr, "--storage-class is for s3://, but the destination is a directory.")
    }))

  it.scopedLive("takes credentials from a profile", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      const home = yield* TemporaryDirectory.withFiles({
        credentials: "[other]\naws_access_key_id = AKCLI\naws_secret_access_key = x\n"
      })
      const server = yield* S3Server.start()
      const env = { AWS_ACCESS_KEY_ID: "AKWRONG", AWS_SHARED_CREDENTIALS_FILE: `${home}/credentials` }
      assert.strictEqual((yield* run(server, ["upload", root, "s3://bkt"], env)).exitCode, 4)
      const ended = yield* run(server, ["upload", root, "s3://bkt", "--profile", "other"], env)
      assert.strictEqual(ended.exitCode, 0, ended.stderr)
    }))
})
