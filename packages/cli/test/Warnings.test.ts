import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, TestClock } from "effect"
import * as fs from "node:fs"
import * as Display from "../src/Display.js"
import * as Output from "../src/Output.js"
import * as Style from "../src/Style.js"
import * as Warnings from "../src/Warnings.js"
import * as FileServer from "./FileServer.js"
import { Screen } from "./Screen.js"
import * as Sluice from "./Sluice.js"
import * as TemporaryDirectory from "./TemporaryDirectory.js"

describe("warnings", { timeout: 60_000 }, () => {
  it.scopedLive("are told once, on standard error, in the command's words; standard output is JSON alone", () =>
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

  it.scopedLive("are shown and not obeyed, whatever goes wrong with them", () =>
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
          Sluice.run(args, { cwd: root }),
          ({ stderr, stdout }) => obeyed.test(stderr + stdout) ? [[args, stderr + stdout]] : []
        ), { concurrency: 4 })
      assert.deepStrictEqual(said.flat(), [])
    }))
})
