import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as FileServer from "../support/FileServer.js"
import * as InProcess from "../support/InProcess.js"
import * as S3Server from "../support/S3Server.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const tree = { "a.txt": "aaaa", "sub/b.txt": "bbbb", "sub/c.txt": "cccc", "empty": "" }

const counts = (text: string) => Sluice.jsonLines(text).at(-1)?.["files"]

describe("sluice verify", { timeout: 60_000 }, () => {
  it.scopedLive("succeeds if everything is the same", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ ...tree })
      const to = yield* TemporaryDirectory.withFiles({ ...tree })
      const { exitCode, stderr, stdout } = yield* Sluice.run(["verify", root, to])
      assert.deepStrictEqual([exitCode, stdout], [0, ""])
      assert.match(stderr, /^Verified: 4 files the same, 12 B compared in .*\.\n$/)
      const quiet = yield* Sluice.run(["verify", root, to, "--quiet", "--concurrency", "1"])
      assert.deepStrictEqual([quiet.exitCode, quiet.stdout, quiet.stderr], [0, "", ""])
    }))

  it.scopedLive("reports what is missing, different and extra", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ ...tree })
      const to = yield* TemporaryDirectory.withFiles({ "a.txt": "aaaA", "sub/b.txt": "bbb", empty: "", "x/extra": "x" })
      const before = TemporaryDirectory.read(to)
      const { exitCode, stderr, stdout } = yield* InProcess.run(["verify", root, to, "--json"])
      assert.strictEqual(exitCode, 1)
      assert.include(
        stderr,
        "Missing at the destination, 1 file:\n  sub/c.txt\n" +
          "Different at the destination, 2 files:\n  a.txt: the content differs\n  sub/b.txt: 4 B here, 3 B there\n" +
          "Only at the destination, 1 file:\n  x/extra\n"
      )
      assert.deepStrictEqual(counts(stdout), {
        total: 4,
        same: 1,
        missing: 1,
        different: 2,
        extra: 1,
        unreadable: 0,
        skipped: 0
      })
      assert.deepStrictEqual(TemporaryDirectory.read(to), before)
      const filtered = yield* InProcess.run(["verify", root, to, "--include", "empty"])
      assert.strictEqual(filtered.exitCode, 0)
      const ignoring = yield* InProcess.run([
        "verify",
        root,
        to,
        "--include",
        "empty",
        "--include",
        "x/*",
        "--ignore-extra"
      ])
      assert.strictEqual(ignoring.exitCode, 0)
      assert.strictEqual((yield* InProcess.run(["verify", root, to, "--include", "x/*"])).exitCode, 1)
    }))

  it.scopedLive("lists only the first of many", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(
        Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`${i}`, ""]))
      )
      const to = yield* TemporaryDirectory.make
      const { stderr } = yield* InProcess.run(["verify", root, to])
      assert.match(stderr, /Missing at the destination, 60 files:\n( {2}\d+\n){20} {2}and 40 more\.\n/)
    }))

  it.scopedLive("compares lists and single files, without looking for extra objects", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ ...tree, list: "a.txt\nsub/b.txt\n" })
      const to = yield* TemporaryDirectory.withFiles({ ...tree, extra: "" })
      const listed = yield* InProcess.run(["verify", "--files-from", "list", ".", to, "--json"], { cwd: root })
      assert.strictEqual(listed.exitCode, 0)
      assert.deepInclude(counts(listed.stdout), { total: 2, same: 2 })
      const single = yield* InProcess.run(["verify", "a.txt", to], { cwd: root })
      assert.strictEqual(single.exitCode, 0)
      assert.include(single.stderr, "Extra files were not looked for")
    }))

  it.scopedLive("compares with a server, by reading it, with credentials from the environment", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ ...tree, "ünï cödé.txt": "ü" })
      const server = yield* FileServer.start()
      const env = { SLUICE_HTTP_TOKEN: "canary" }
      assert.strictEqual((yield* Sluice.run(["upload", root, server.url], { env })).exitCode, 0)
      const well = yield* Sluice.run(["verify", root, server.url], { env })
      assert.strictEqual(well.exitCode, 0)
      assert.include(well.stderr, "This destination cannot list its objects: extra files were not looked for.")
      server.stored.set("a.txt", { headers: {}, body: "aaaA" })
      server.stored.delete("empty")
      const { exitCode, stderr } = yield* Sluice.run(["verify", root, server.url], { env })
      assert.strictEqual(exitCode, 1)
      assert.include(stderr, "  empty\n")
      assert.include(stderr, "  a.txt: the content differs\n")
      assert.notInclude(stderr, "canary")
    }))

  it.scopedLive("has an exit code for each way of ending, and makes nothing", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", file: "" })
      const closed = yield* FileServer.start({ answer: () => 403 })
      const ended = (...args: ReadonlyArray<string>) =>
        Effect.map(InProcess.run(["verify", ...args], { cwd: root }), ({ exitCode, stderr }) => [exitCode, stderr])
      assert.deepStrictEqual(yield* ended("src/nope", "to"), [3, "sluice: The source src/nope does not exist.\n"])
      assert.deepStrictEqual(yield* ended("src", "to"), [4, "sluice: The destination to does not exist.\n"])
      assert.deepStrictEqual(yield* ended("src", "file"), [4, "sluice: The destination file is not a directory.\n"])
      assert.isFalse(fs.existsSync(`${root}/to`))
      assert.deepStrictEqual(yield* ended("src", "sim:"), [
        2,
        "sluice: sim: stores nothing, so there is nothing to compare with.\nTry sluice verify --help.\n"
      ])
      assert.strictEqual((yield* ended("-", "to"))[0], 2)
      assert.strictEqual((yield* ended("src"))[0], 2)
      const [refused, said] = yield* ended("src", closed.url)
      assert.strictEqual(refused, 4)
      assert.match(String(said), /^Could not compare 1 file: .* answered 403/)
    }))

  it.scopedLive("says once that a destination cannot be reached, and counts files only", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a": "a", "src/b": "b", "src/c": "c" })
      fs.mkdirSync(`${root}/none`)
      const said = (cause: string) =>
        `Could not compare ${cause}: The connection to http://127.0.0.1:1 failed (ECONNREFUSED).\n` +
        "Nothing listens there: check the host and the port, and that the server is running.\n" +
        "Run sluice doctor to find out what is wrong with a destination.\n"
      const env = S3Server.environment
      for (const to of ["s3://bkt/p?endpoint=http://127.0.0.1:1", "http://127.0.0.1:1/x"]) {
        const { exitCode, stderr, stdout } = yield* InProcess.run(["verify", "src", to, "--json"], { cwd: root, env })
        assert.deepStrictEqual([exitCode, stderr], [4, said("3 files")])
        assert.deepInclude(counts(stdout), { total: 3, same: 0, unreadable: 3 })
        const upload = yield* InProcess.run(["upload", "src", to], { cwd: root, env })
        assert.strictEqual(upload.exitCode, 4)
      }
      const nothing = yield* InProcess.run(["verify", "none", "s3://bkt/p?endpoint=http://127.0.0.1:1"], {
        cwd: root,
        env
      })
      assert.deepStrictEqual([nothing.exitCode, nothing.stderr], [4, said("anything")])
    }))

  it.scopedLive("prints a shared cause once, and a failed listing separately", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a": "a", "src/no-b": "b", "src/no-c": "c" })
      const server = yield* S3Server.start({
        refuse: (method, path) =>
          method === "HEAD" && path.includes("no-") || path.includes("list-type")
            ? { status: 403, code: "AccessDenied" }
            : undefined
      })
      const env = S3Server.environment
      const to = ["s3://bkt/p", "--endpoint", server.url]
      yield* InProcess.run(["upload", "src", ...to], { cwd: root, env })
      const { exitCode, stderr, stdout } = yield* InProcess.run(["verify", "src", ...to, "--json"], { cwd: root, env })
      assert.strictEqual(exitCode, 1)
      assert.match(
        stderr,
        /^Compared: 1 of 3 files the same, .*\nCould not compare 2 files: s3:.* answered 403.*\n {2}no-b\n {2}no-c\nNot all extra files are known, because the destination did not list its objects: s3:.* answered 403 AccessDenied.*\n$/
      )
      assert.deepStrictEqual(counts(stdout), {
        total: 3,
        same: 1,
        missing: 0,
        different: 0,
        extra: 0,
        unreadable: 2,
        skipped: 0
      })
      assert.strictEqual(Sluice.jsonLines(stdout).at(-1)?.["extras"], "Failed")
    }))

  it.scopedLive("stops when interrupted, and reports what it did", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ ...tree })
      const server = yield* FileServer.start({ held: true })
      const sluice = yield* Sluice.start(["verify", root, server.url])
      yield* server.hasReceived(2)
      yield* sluice.kill("SIGINT")
      const { exitCode, stderr } = yield* sluice.ended
      assert.strictEqual(exitCode, 130)
      assert.include(stderr, "Interrupted: files that are not listed here were not compared.")
    }))

  it.scopedLive("does not say Verified if something differs", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a": "a", "src/b": "b", "part/a": "a", "other/a": "x" })
      fs.mkdirSync(`${root}/empty`)
      for (const there of ["empty", "part", "other"]) {
        const { exitCode, stderr } = yield* InProcess.run(["verify", "src", there], { cwd: root })
        assert.strictEqual(exitCode, 1)
        assert.notInclude(stderr, "Verified")
        assert.match(stderr, /^Compared: \d of 2 files the same/)
      }
      const none = yield* InProcess.run(["verify", "empty", "part"], { cwd: root })
      assert.notInclude(none.stderr, "Verified")
      assert.match(
        (yield* InProcess.run(["verify", "src", "src"], { cwd: root })).stderr,
        /^Verified: 2 files the same/
      )
    }))

  it.scopedLive("asks once if another answer would be the same", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ a: "a", b: "b" })
      for (const [status, times] of [[403, 1], [404, 1], [405, 1], [401, 1], [503, 5]] as const) {
        const asked = new Map<string, number>()
        const server = yield* FileServer.start({
          answer: (key, method) => {
            if (method === "HEAD") asked.set(key, (asked.get(key) ?? 0) + 1)
            return status
          }
        })
        const { exitCode } = yield* InProcess.run(["verify", root, server.url])
        assert.notStrictEqual(exitCode, 0)
        assert.deepStrictEqual([...asked], [["a", times], ["b", times]], `${status}`)
      }
    }))

  it.scopedLive("does not retry for every file if the destination keeps failing", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(
        Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`${i}`, ""]))
      )
      let asked = 0
      const server = yield* FileServer.start({
        answer: () => {
          asked += 1
          return 503
        }
      })
      const { exitCode } = yield* InProcess.run(["verify", root, server.url, "--concurrency", "64"])
      assert.strictEqual(exitCode, 4)
      assert.isAtLeast(asked, 200)
      // Five hundred tokens are a hundred retries; each file would have four.
      assert.isAtMost(asked, 200 + 100)
    }))

  it.scopedLive("distinguishes longer, shorter and different small files from equal ones", () =>
    Effect.gen(function*() {
      const content = "x".repeat(5_000)
      const root = yield* TemporaryDirectory.withFiles({
        "src/same": content,
        "src/longer": content,
        "src/shorter": content,
        "src/last": content,
        "src/empty": "",
        "to/same": content,
        "to/longer": `${content}y`,
        "to/shorter": content.slice(1),
        "to/last": `${content.slice(1)}y`,
        "to/empty": ""
      })
      const { stdout } = yield* InProcess.run(["verify", "src", "to", "--json"], { cwd: root })
      const found = Sluice.jsonLines(stdout).slice(0, -1).map(({ _tag, key, reason }) => `${key} ${reason ?? _tag}`)
      assert.deepStrictEqual(found.toSorted(), [
        "empty Same",
        "last Content",
        "longer Size",
        "same Same",
        "shorter Size"
      ])
    }))
})
