import { assert, describe, it } from "@effect/vitest"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect, Fiber, Option, TestClock } from "effect"
import * as fs from "node:fs"
import * as http from "node:http"
import * as Display from "../../src/terminal/Display.js"
import * as Output from "../../src/terminal/Output.js"
import * as Style from "../../src/terminal/Style.js"
import * as Warnings from "../../src/terminal/Warnings.js"
import * as FileServer from "../support/FileServer.js"
import * as InProcess from "../support/InProcess.js"
import { listening } from "../support/Listening.js"
import * as S3Server from "../support/S3Server.js"
import { Screen } from "../support/Screen.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

describe("warnings", { timeout: 60_000 }, () => {
  it.scopedLive("are printed once, on standard error, in the command's style; standard output has only JSON", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", "src/b.txt": "b" })
      const args = ["upload", "src", "to", "--journal", "journal", "--json"]
      yield* Sluice.run(args, { cwd: root })
      const journal = `${root}/journal/journal`
      const lines = fs.readFileSync(journal, "latin1").split("\n")
      fs.writeFileSync(journal, [...lines.slice(0, 1), "damaged", ...lines.slice(1)].join("\n"), "latin1")
      const { exitCode, stderr, stdout } = yield* Sluice.run(args, { cwd: root })
      assert.strictEqual(exitCode, 0)
      assert.isNotEmpty(Sluice.jsonLines(stdout))
      assert.deepStrictEqual(
        stderr.split("\n").filter((line) => line.includes("damaged")),
        [`sluice: The journal in journal was damaged in 1 places; the rest is used.`]
      )
    }))

  it.effect("go above a live view", () =>
    Effect.gen(function*() {
      const screen = new Screen(60)
      const sink = Output.make({
        write: (text) => Effect.sync(() => screen.write(text)),
        flush: Effect.void,
        closed: () => false,
        failure: Option.none,
        isTerminal: true,
        style: Style.plain,
        size: () => ({ columns: 60, rows: 24 })
      })
      const shown: Display.Shown = {
        currentProgress: Effect.succeed({
          startedAt: 0,
          listing: false,
          filesFound: 2,
          filesUploaded: 1,
          filesSkipped: 0,
          filesFailed: 0,
          filesInterrupted: 0,
          filesOfUnknownSize: 0,
          inFlight: 0,
          peakInFlight: 1,
          bytesFound: 2,
          bytesUploaded: 1,
          bytesInFlight: 0,
          bytesResumed: 0,
          attempts: 1,
          retries: 0
        }),
        throughput: Effect.succeed({ current: 0, overall: 0 }),
        inFlight: Effect.succeed([])
      }
      const display = Display.live(sink)
      const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(display.show(shown), Effect.never)))
      yield* TestClock.adjust("1 second")
      yield* Warnings.toldOn(sink)(Effect.logWarning("Something \u001b[2J is odd."))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        [screen.text.length, screen.text[0], screen.text[2]],
        [3, "sluice: Something ␛[2J is odd.", "1 of 2 files · 1 B of 2 B · 0 B/s · 0 in flight"]
      )
      yield* Fiber.interrupt(fiber)
    }))
})

describe("progress for programs", { timeout: 60_000 }, () => {
  it.scopedLive("is among the events of --json, and the report stays the last line", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "aaa", "src/b.txt": "b" })
      const server = yield* FileServer.start({ held: true })
      const sluice = yield* Sluice.start(["upload", "src", server.url, "--json"], { cwd: root })
      yield* Effect.promise(() =>
        new Promise<void>((resolve) => {
          sluice.child.stdout.on("data", (text: string) => {
            if (text.includes("ProgressSampled")) resolve()
          })
        })
      )
      yield* server.release
      const { exitCode, stdout } = yield* sluice.ended
      assert.strictEqual(exitCode, 0)
      const lines = Sluice.jsonLines(stdout)
      const { at, bytes, throughputBytesPerSecond, ...rest } = lines.find(({ _tag }) => _tag === "ProgressSampled") ??
        {}
      assert.deepStrictEqual(rest, {
        _tag: "ProgressSampled",
        version: 1,
        listing: false,
        files: { total: 2, uploaded: 0, skipped: 0, failed: 0, interrupted: 0 },
        inFlight: 2,
        retries: 0
      })
      assert.deepNestedInclude({ bytes }, { "bytes.total": 4, "bytes.uploaded": 0 })
      assert.isNumber(at)
      assert.isNumber(throughputBytesPerSecond)
      assert.strictEqual(lines.at(-1)?.["_tag"], "Report")
    }))
})

describe("names of files in messages", { timeout: 60_000 }, () => {
  // A colour, the one-byte form of it, a right-to-left override, and a line feed.
  const evil = "a\u001b[31mb\u009b31mc\u202ed\ne"
  // oxlint-disable-next-line no-control-regex
  const obeyed = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/

  it.scopedLive("are shown and not obeyed, whatever goes wrong", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({
        [`one/${evil}`]: "1",
        [`two/${evil}`]: "2",
        [`${evil}/x`]: "3",
        "src/a": "a"
      })
      const wrong: ReadonlyArray<ReadonlyArray<string>> = [
        ["upload", `no-${evil}`, "to"],
        ["upload", evil],
        ["upload", "src", `${evil}://host`],
        ["upload", "src", evil, `--${evil}`],
        ["upload", "src", evil, "--rate", evil],
        ["upload", "src", evil, "--strategy", evil],
        ["upload", "src", evil, "--include", `${evil}/`],
        ["upload", "src", `one/${evil}`],
        ["upload", "src", "to", "--report", `no-${evil}/x`],
        ["upload", "src", "to", "--failed", `no-${evil}/x`],
        ["upload", "src", "to", "--files-from", `no-${evil}/x`],
        ["upload", "src", "to", `--dry-run=${evil}`],
        ["upload", "one", "two", "to"],
        ["upload", evil, `${evil}/to`],
        ["upload", "src", `s3://${evil}`],
        ["upload", "src", `s3://bucket/${evil}`],
        ["upload", "src", `sim:${evil}`],
        ["upload", "src", `sim:?${evil}=1`],
        ["upload", "src", `http://host/${evil}`, "--retries", "0"],
        ["upload", "src", "http://127.0.0.1:1", "--ca", evil],
        ["upload", "src", "http://127.0.0.1:1", "--header", evil],
        ["upload", "src", "to", "--metadata", evil],
        ["upload", "src", "to", "--journal", `src/a/${evil}`],
        ["upload", "src", evil, "--dry-run"],
        ["upload", "src", evil, "--log-level", evil],
        ["verify", "one", evil],
        ["verify", "one", "two"],
        ["verify", "src", `no-${evil}`],
        ["verify", "one", "src", "--json"],
        ["uploads", "abort", `no-${evil}`],
        ["uploads", "abort", "s3://bucket", evil],
        ["uploads", "ls", "--journal", `no-${evil}`],
        ["doctor", `no-${evil}`],
        ["simulate", `no-${evil}`],
        ["simulate", evil],
        ["simulate", "src", "--svg", `src/a/${evil}`],
        ["simulate", "--strategy", evil],
        [evil],
        [`--${evil}`],
        ["uploads", evil],
        ["--completions", evil]
      ]
      const said = yield* Effect.forEach(wrong, (args) =>
        Effect.map(
          InProcess.run(args, { cwd: root }),
          ({ stderr, stdout }) => obeyed.test(stderr + stdout) ? [[args, stderr + stdout]] : []
        ), { concurrency: 4 })
      assert.deepStrictEqual(said.flat(), [])
    }))

  it.scopedLive("are shown and not obeyed in a plan, one a line, whoever reads it", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ [`src/${evil}`]: "1", "src/b\rc": "22" })
      fs.writeFileSync(`${root}/list`, `${evil}\0b\rc\0no-${evil}\0`)
      const plan = yield* InProcess.run(["upload", "src", "to", "--dry-run"], { cwd: root })
      assert.strictEqual(plan.stdout, "a␛[31mb�31mc�d␊e\t1\nb␍c\t2\n")
      const listed = yield* InProcess.run(["upload", "--files-from", "list", "src", "to", "--dry-run"], { cwd: root })
      assert.strictEqual(listed.stdout, plan.stdout)
      assert.notMatch(listed.stderr, obeyed)
      const json = yield* InProcess.run(["upload", "src", "to", "--dry-run", "--json"], { cwd: root })
      assert.notMatch(json.stdout, obeyed)
      assert.deepStrictEqual(Sluice.jsonLines(json.stdout).map(({ key }) => key), [evil, "b\rc", undefined])
    }))

  it.scopedLive("are shown and not obeyed if they come from journals, servers and the environment", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ [`src/${evil}`]: "1", [`two/${evil}`]: "2", "src/a": "a" })
      const s3 = yield* S3Server.start({
        refuse: (method, path) =>
          method === "PUT" && path.startsWith("bkt/no") ? { status: 403, code: `<![CDATA[${evil}]]>` } : undefined
      })
      s3.stored.set(`bkt/p/${evil}`, { body: Buffer.from("else"), headers: {} })
      s3.stored.set(`bkt/p/x-${evil}`, { body: Buffer.from("else"), headers: {} })
      const server = http.createServer((request, response) => {
        request.resume()
        request.on("end", () => response.writeHead(403, { "content-type": "text/plain" }).end(evil))
      })
      const url = `http://127.0.0.1:${yield* listening(server)}`
      const directory = `${root}/state/sluice/${"0".repeat(32)}`
      const kept = (destination: string) =>
        Effect.scoped(
          Effect.flatMap(JournalNode.make({ directory, destination, source: evil }), (journal) =>
            journal.begin({
              key: evil,
              token: "t".repeat(32),
              size: 9,
              fingerprint: undefined,
              partSize: 5,
              checksum: undefined,
              startedAt: 0
            }))
        )
      const state = { XDG_STATE_HOME: `${root}/state` }
      yield* kept(`${root}/no-${evil}`)
      const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, env?: Record<string, string>]> = [
        [["upload", "src", "to"], { XDG_STATE_HOME: `${root}/two/${evil}` }],
        [["uploads", "ls"], state],
        [["uploads", "abort"], state],
        [["uploads", "abort", "--all"], state],
        [["uploads", "abort", `no-${evil}`, evil], state],
        [["upload", "src", "s3://bkt/no", "--endpoint", s3.url, "--retries", "0"]],
        [["verify", "src", "s3://bkt/p", "--endpoint", s3.url]],
        [["doctor", "s3://bkt/no", "--endpoint", s3.url]],
        ...["upload", "verify"].flatMap((command) => [
          [[command, "src", `${url}/`]] as const,
          [[command, "src", `tus+${url}/`, "--locations", "list"]] as const,
          [[command, "src", "s3://bkt/p", "--endpoint", url]] as const
        ]),
        [["doctor", `${url}/`]],
        [["doctor", `tus+${url}/`]],
        [["doctor", "s3://bkt/p", "--endpoint", url]],
        [["upload", "src", `https://a.blob.core.windows.net/${evil}`, "--dry-run"], { HTTPS_PROXY: url }],
        [["simulate", "--seed", evil, "--files", "3"]],
        [["simulate", "src", "--seed", evil]],
        [["upload", "src", "to", "--report", "report"], { XDG_STATE_HOME: `${root}/two/${evil}` }]
      ]
      const said = yield* Effect.forEach(wrong, ([args, env]) =>
        Effect.map(
          InProcess.run(args, { cwd: root, env: { ...S3Server.environment, ...env } }),
          ({ stderr, stdout }) =>
            obeyed.test(stderr + stdout) || stderr.includes("should not have") ? [[args, stderr + stdout]] : []
        ), { concurrency: 4 })
      assert.deepStrictEqual(said.flat(), [])
    }))
})
