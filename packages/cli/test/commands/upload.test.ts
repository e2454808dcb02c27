import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as FileServer from "../support/FileServer.js"
import * as InProcess from "../support/InProcess.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const thousand = Object.fromEntries(
  Array.from({ length: 1_000 }, (_, i) => [`d${i % 7}/e ${i % 5}/file-${i}.txt`, `${i} `.repeat(i % 50)])
)

const odd = {
  "with space.txt": "1",
  "naïve café.txt": "2",
  "e\u0301 decomposed.txt": "3",
  "写真/日本語 🎉.jpg": "4",
  "100% %2e%2e %41.txt": "5",
  "#hash & 'quote' \"double\" ; $HOME `x`.txt": "6",
  ".dotfile": "7",
  "-rf": "8",
  "back\\slash.txt": "9",
  "line\nfeed.txt": "10",
  "?query=1&x.txt": "11",
  [`${"long-".repeat(49)}.bin`]: "12",
  "a/b/c/d/e/f/g/h.txt": "",
  "colon: 12:30.log": "13"
}

const report = (text: string) => Sluice.jsonLines(text).at(-1) ?? {}

describe("sluice upload", { timeout: 120_000 }, () => {
  it.scopedLive("uploads a tree to a directory", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(thousand)
      const to = yield* TemporaryDirectory.make
      fs.utimesSync(`${root}/d0/e 0/file-0.txt`, 1_000_000_000, 1_000_000_000)
      const { exitCode, stderr, stdout } = yield* Sluice.run(["upload", root, `${to}/new/copy`, "--json"])
      assert.strictEqual(exitCode, 0)
      assert.deepStrictEqual(TemporaryDirectory.read(`${to}/new/copy`), TemporaryDirectory.read(root))
      assert.strictEqual(fs.statSync(`${to}/new/copy/d0/e 0/file-0.txt`).mtimeMs, 1_000_000_000_000)
      assert.match(stderr, /^Uploaded 1,000 files, 95.5 kB in .*, 0 retries\.\n$/m)

      const lines = Sluice.jsonLines(stdout)
      const { durationMillis, peakInFlight, throughputBytesPerSecond, ...rest } = lines.at(-1) ?? {}
      const bytes = Object.values(thousand).join("").length
      assert.deepStrictEqual(rest, {
        _tag: "Report",
        version: 1,
        ended: "Completed",
        files: { total: 1_000, uploaded: 1_000, skipped: 0, failed: 0, interrupted: 0, notStarted: 0 },
        bytes: { total: bytes, uploaded: bytes, resumed: 0 },
        attempts: 1_000,
        retries: 0,
        failures: [],
        abortsFailed: 0,
        leftBehind: [],
        kept: { files: 0, bytes: 0 }
      })
      assert.isAbove(Number(durationMillis), 0)
      assert.isAbove(Number(peakInFlight), 0)
      assert.isAbove(Number(throughputBytesPerSecond), 0)
      const finished = lines.filter((line) => line["_tag"] === "UploadFinished" && line["outcome"] === "Uploaded")
      assert.deepStrictEqual(finished.map((line) => line["key"]).sort(), Object.keys(thousand).sort())
    }))

  it.scopedLive("uploads a tree to a server, with true lengths and few connections", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(thousand)
      const server = yield* FileServer.start()
      const { exitCode } = yield* Sluice.run(["upload", root, `${server.url}/base`, "--concurrency", "6"])
      assert.strictEqual(exitCode, 0)
      assert.deepStrictEqual(
        Object.fromEntries([...server.stored].map(([key, { body }]) => [key.replace("base/", ""), body])),
        thousand
      )
      for (const { body, headers } of server.stored.values()) {
        assert.strictEqual(headers["content-length"], String(Buffer.byteLength(body)))
        assert.isUndefined(headers["transfer-encoding"])
      }
      assert.isAtMost(server.connections(), 6)
    }))

  it.scopedLive("does not change odd names", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(odd)
      const to = yield* TemporaryDirectory.make
      const server = yield* FileServer.start()
      assert.strictEqual((yield* InProcess.run(["upload", root, to])).exitCode, 0)
      assert.deepStrictEqual(TemporaryDirectory.read(to), TemporaryDirectory.read(root))
      assert.strictEqual((yield* InProcess.run(["upload", root, server.url])).exitCode, 0)
      assert.deepStrictEqual(
        new Map([...server.stored].map(([key, { body }]) => [key, body])),
        new Map(Object.entries(odd))
      )
    }))

  it.scopedLive("takes flags anywhere, and files named like flags after --", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "-rf": "x", y: "y", "to/keep": "" })
      const { exitCode, stderr } = yield* Sluice.run(["upload", "--quiet", "y", "--", "-rf", "to"], { cwd: root })
      assert.deepStrictEqual({ exitCode, stderr }, { exitCode: 0, stderr: "" })
      assert.deepStrictEqual(TemporaryDirectory.read(`${root}/to`), { "-rf": "x", keep: "", y: "y" })
    }))

  it.scopedLive("uploads what is included, but not what is excluded", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({
        "a.jpg": "",
        "x/b.jpg": "",
        "x/c.png": "",
        ".hidden/d.jpg": "",
        "node_modules/e/f.jpg": "",
        "old.jpg": ""
      })
      const to = yield* TemporaryDirectory.make
      const flags = ["--include=*.jpg", "--include", "*.png", "--exclude", "node_modules", "--exclude=/old.jpg"]
      assert.strictEqual((yield* InProcess.run(["upload", root, to, ...flags])).exitCode, 0)
      assert.deepStrictEqual(Object.keys(TemporaryDirectory.read(to)), [".hidden/d.jpg", "a.jpg", "x/b.jpg", "x/c.png"])
    }))

  it.scopedLive("skips links and says so, unless they are followed", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      const to = yield* TemporaryDirectory.make
      fs.symlinkSync("a.txt", `${root}/link`)
      const { exitCode, stderr } = yield* InProcess.run(["upload", root, to])
      assert.strictEqual(exitCode, 0)
      assert.include(stderr, "Skipped 1 file:\n  1: It is a symbolic link")
      yield* InProcess.run(["upload", root, to, "--follow-symlinks"])
      assert.deepStrictEqual(TemporaryDirectory.read(to), { "a.txt": "a", link: "a" })
    }))

  it.scopedLive("says what it would do, and does nothing", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "aaa", "x/b.txt": "b", c: "" })
      const args = [
        "upload",
        root,
        `${root}-not-made`,
        "--dry-run",
        "--failed",
        `${root}-failed`,
        "--report",
        "/no/where"
      ]
      const plain = yield* InProcess.run(args)
      assert.deepStrictEqual(plain, {
        exitCode: 0,
        stdout: "a.txt\t3\nc\t0\nx/b.txt\t1\n",
        stderr: "Would upload 3 files, 4 B. Nothing was sent.\n"
      })
      const json = yield* InProcess.run([...args, "--json", "--quiet"])
      assert.strictEqual(json.stderr, "")
      assert.deepStrictEqual(Sluice.jsonLines(json.stdout).at(0), {
        _tag: "Planned",
        version: 1,
        key: "a.txt",
        size: 3
      })
      assert.deepStrictEqual(report(json.stdout), {
        _tag: "Plan",
        version: 1,
        files: { total: 3, planned: 3, skipped: 0, failed: 0 },
        bytes: { total: 4 }
      })
      assert.isFalse(fs.existsSync(`${root}-not-made`) || fs.existsSync(`${root}-failed`))
    }))

  it.scopedLive("writes the report, and nothing else when quiet and successful", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", "report.json": "old" })
      const { exitCode, stderr, stdout } = yield* InProcess.run(
        ["upload", "src", "to", "--quiet", "--report", "report.json", "--fsync"],
        { cwd: root }
      )
      assert.deepStrictEqual({ exitCode, stderr, stdout }, { exitCode: 0, stderr: "", stdout: "" })
      const text = fs.readFileSync(`${root}/report.json`, "utf8")
      assert.include(text, "\n  \"files\": {\n    \"total\": 1,")
      assert.strictEqual(JSON.parse(text)._tag, "Report")
    }))

  it.scopedLive("lists what failed, and uploads that list", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(
        Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`src/x/${i}.txt`, `${i}`]))
      )
      let isDown = true
      const server = yield* FileServer.start({ answer: (key) => isDown && key.endsWith("7.txt") ? 403 : 200 })
      const first = yield* InProcess.run(["upload", "src", server.url, "--failed", "failed", "--quiet"], { cwd: root })
      assert.strictEqual(first.exitCode, 1)
      assert.strictEqual(server.stored.size, 45)
      assert.match(first.stderr, /^Uploaded 45 of 50 files/)
      assert.match(first.stderr, /Failed 5 files: http:\/\/127\.0\.0\.1:\d+ answered 403\n( {2}x\/\d?7\.txt\n){5}/)
      assert.include(first.stderr, "Unfinished files are listed in failed: upload them with --files-from failed.")
      isDown = false
      const again = ["upload", "--files-from", "failed", server.url, "--failed", "failed", "--json"]
      const second = yield* InProcess.run(again, { cwd: root })
      assert.strictEqual(second.exitCode, 0)
      assert.deepNestedInclude(report(second.stdout), { "files.total": 5, "files.uploaded": 5 })
      assert.deepStrictEqual(
        new Map([...server.stored].map(([key, { body }]) => [`${key}`, body])),
        new Map([...server.stored.keys()].map((key) => [key, key.slice(2, -4)]))
      )
      assert.strictEqual(server.stored.size, 50)
      assert.strictEqual(fs.readFileSync(`${root}/failed`, "utf8"), "{\"_tag\":\"Manifest\",\"version\":1}\n")
      const third = yield* InProcess.run(again, { cwd: root })
      assert.deepNestedInclude(report(third.stdout), { "files.total": 0 })
      assert.deepStrictEqual(fs.readdirSync(root).sort(), ["failed", "src"])
    }))

  it.scopedLive("reads a list from standard input", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", "src/x/b.txt": "b", "src/c.txt": "c" })
      const input = "a.txt\nx/b.txt\n"
      yield* Sluice.run(["upload", "--files-from", "-", "src", "one"], { cwd: root, input })
      assert.deepStrictEqual(TemporaryDirectory.read(`${root}/one`), { "a.txt": "a", "x/b.txt": "b" })
      yield* Sluice.run(["upload", "--files-from", "-", "../two"], { cwd: `${root}/src`, input })
      assert.deepStrictEqual(TemporaryDirectory.read(`${root}/two`), { "a.txt": "a", "x/b.txt": "b" })
    }))

  it.scopedLive("has an exit code for each way of ending", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", "src/b.txt": "b", file: "" })
      const dead = yield* Effect.scoped(Effect.map(FileServer.start(), ({ url }) => url))
      const picky = yield* FileServer.start({ answer: (key) => key === "a.txt" ? 403 : 200 })
      const closed = yield* FileServer.start({ answer: () => 403 })
      const ended = (...args: ReadonlyArray<string>) =>
        Effect.map(
          Sluice.run(["upload", ...args], { cwd: root }),
          ({ exitCode, stderr }) => [exitCode, stderr] as const
        )
      const [well] = yield* ended("src", "to")
      assert.strictEqual(well, 0)
      const [someFailed] = yield* ended("src", picky.url)
      assert.strictEqual(someFailed, 1)
      const [usage, usageSaid] = yield* ended("src", "to", "--rate", "fast")
      assert.strictEqual(usage, 2)
      assert.strictEqual(
        usageSaid,
        "sluice: --rate: \"fast\" is not a valid value. It takes starts per second, minute or hour, such as 50/s, 3000/m or 0.5/s.\n" +
          "Try sluice upload --help.\n"
      )
      assert.deepStrictEqual(yield* ended("src/nope", "to"), [3, "sluice: The source src/nope does not exist.\n"])
      const [below, belowSaid] = yield* ended("src", "file/below")
      assert.strictEqual(below, 4)
      assert.match(belowSaid, /^sluice: The destination cannot be used\. /)
      const [refused, refusedSaid] = yield* ended("src", closed.url)
      assert.strictEqual(refused, 4)
      assert.include(refusedSaid, "Failed 2 files: ")
      const [unreachable, unreachableSaid] = yield* ended("src", dead, "--retry-delay", "1ms")
      assert.strictEqual(unreachable, 4)
      assert.match(
        unreachableSaid,
        /^Failed 2 files: The connection to http:\/\/127\.0\.0\.1:\d+ failed \(ECONNREFUSED\)\.\n {2}/m
      )
      assert.include(unreachableSaid, "Nothing listens there: check the host and the port")
    }))

  it.scopedLive("sends credentials from the environment, and never prints them", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a" })
      const server = yield* FileServer.start()
      const closed = yield* FileServer.start({ answer: () => 401 })
      const env = { SLUICE_HTTP_TOKEN: "very-secret" }
      const options = { cwd: root, env }
      yield* Sluice.run(["upload", "src", `${server.url}/{key}?signature=also-secret`], options)
      assert.strictEqual(server.stored.get("a.txt")?.headers.authorization, "Bearer very-secret")
      const basic = { SLUICE_HTTP_USER: "me", SLUICE_HTTP_PASSWORD: "very-secret" }
      yield* Sluice.run(["upload", "src", server.url], { cwd: root, env: basic })
      assert.strictEqual(server.stored.get("a.txt")?.headers.authorization, `Basic ${btoa("me:very-secret")}`)
      const all = ["--json", "--report", "report", "--failed", "failed", "--retries", "0"]
      const failed = yield* Sluice.run(["upload", "src", `${closed.url}/{key}?signature=also-secret`, ...all], options)
      assert.strictEqual(failed.exitCode, 4)
      const printed = [failed.stdout, failed.stderr, ...Object.values(TemporaryDirectory.read(root))].join("\n")
      assert.include(printed, "answered 401")
      assert.notMatch(printed, /very-secret|also-secret/)
      const inArgv = yield* Sluice.run(["upload", "src", "http://me:very-secret@127.0.0.1/"], options)
      assert.strictEqual(inArgv.exitCode, 2)
      assert.notInclude(inArgv.stderr, "very-secret")
    }))

  it.scopedLive("continues when nobody reads its events any more", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(thousand)
      const to = yield* TemporaryDirectory.make
      const sluice = yield* Sluice.start(["upload", root, to, "--json"])
      yield* Effect.promise(() => new Promise((resolve) => sluice.child.stdout.once("data", resolve)))
      sluice.child.stdout.destroy()
      const { exitCode, stderr } = yield* sluice.ended
      assert.strictEqual(exitCode, 0)
      assert.match(stderr, /^Uploaded 1,000 files.*\n$/m)
    }))

  describe("stopped", () => {
    const files = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`src/${i}.txt`, `${i}`]))

    /** An upload of 40 files, four of which are in flight until the server is released. */
    const held = Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(files)
      const server = yield* FileServer.start({ held: true })
      const sluice = yield* Sluice.start(
        ["upload", "src", server.url, "--concurrency", "4", "--json", "--failed", "failed", "--report", "report"],
        { cwd: root }
      )
      yield* server.hasReceived(4)
      return { root, server, sluice }
    })

    const ends = (root: string, { exitCode, stdout }: Sluice.Ended) => {
      const last = report(stdout)
      assert.deepStrictEqual(JSON.parse(fs.readFileSync(`${root}/report`, "utf8")), last)
      const undone = Sluice.jsonLines(fs.readFileSync(`${root}/failed`, "utf8")).slice(1)
      return { exitCode, ended: last["ended"], files: last["files"], undone: undone.map((entry) => entry["_tag"]) }
    }

    it.scopedLive("once, finishes what is in flight", () =>
      Effect.gen(function*() {
        const { root, server, sluice } = yield* held
        yield* sluice.kill("SIGINT")
        yield* sluice.says("Stopping: finishing 4 uploads in flight, ")
        yield* server.release
        const ended = yield* sluice.ended
        assert.deepStrictEqual(ends(root, ended), {
          exitCode: 130,
          ended: "Drained",
          files: { total: 40, uploaded: 4, skipped: 0, failed: 0, interrupted: 0, notStarted: 36 },
          undone: Array.from({ length: 36 }, () => "NotStarted")
        })
        assert.strictEqual(server.stored.size, 4)
        assert.include(ended.stderr, "Uploaded 4 of 40 files")
        assert.include(ended.stderr, "Not started: 36 files.\nUnfinished files are listed in failed")
        const rest = yield* Sluice.run(["upload", "--files-from", "failed", server.url], { cwd: root })
        assert.strictEqual(rest.exitCode, 0)
        assert.strictEqual(server.stored.size, 40)
      }))

    it.scopedLive("twice, stops at once", () =>
      Effect.gen(function*() {
        const { root, server, sluice } = yield* held
        yield* sluice.kill("SIGINT")
        yield* sluice.says("press Ctrl-C again")
        yield* sluice.kill("SIGINT")
        const ended = yield* sluice.ended
        assert.deepStrictEqual(ends(root, ended), {
          exitCode: 130,
          ended: "Interrupted",
          files: { total: 40, uploaded: 0, skipped: 0, failed: 0, interrupted: 4, notStarted: 36 },
          undone: [..."1234"].map(() => "Interrupted").concat(Array.from({ length: 36 }, () => "NotStarted"))
        })
        assert.include(ended.stderr, "Interrupted 4 files in flight, and stored none of them.")
        assert.strictEqual(server.stored.size, 0)
      }))

    it.scopedLive("by SIGTERM, stops at once", () =>
      Effect.gen(function*() {
        const { root, sluice } = yield* held
        yield* sluice.kill("SIGTERM")
        const ended = ends(root, yield* sluice.ended)
        assert.strictEqual(ended.exitCode, 130)
        assert.strictEqual(ended.ended, "Interrupted")
      }))
  })
})
