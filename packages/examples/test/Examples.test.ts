import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Option } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as AdaptiveRate from "../src/adaptive-rate.js"
import * as Adaptive from "../src/adaptive.js"
import * as BandwidthCap from "../src/bandwidth-cap-and-monitor.js"
import * as Basic from "../src/basic-parallel-upload.js"
import * as Composed from "../src/composed-uploads.js"
import * as CustomDestination from "../src/custom-destination.js"
import * as ErrorResilience from "../src/error-resilience.js"
import * as HugeLazyList from "../src/huge-lazy-list.js"
import * as InterruptAndDrain from "../src/interrupt-and-drain.js"
import * as JournalInDatabase from "../src/journal-in-a-database.js"
import * as LargeFile from "../src/large-file-resume.js"
import * as Metrics from "../src/metrics.js"
import * as PerTenantLimits from "../src/per-tenant-limits.js"
import * as ProgressMonitor from "../src/progress-monitor.js"
import * as RateLimited from "../src/rate-limited.js"
import * as Retry from "../src/retry-with-backoff.js"
import * as VirtualTesting from "../src/testing-on-the-virtual-clock.js"
import * as Testing from "../src/testing-with-test-clock.js"
import * as TwoDestinations from "../src/two-destinations.js"
import * as UploadToTus from "../src/upload-to-tus.js"
import * as WorkerPool from "../src/worker-pool.js"
import * as Transcript from "./Transcript.js"
import * as TusServer from "./TusServer.js"

const root = path.resolve(import.meta.dirname, "..")

const examples = fs.readdirSync(path.join(root, "src")).filter((file) => file.endsWith(".ts") && file !== "run.ts")

describe("the examples", () => {
  it.effect("basic-parallel-upload", () =>
    Effect.gen(function*() {
      const { lines } = yield* Transcript.virtual(Basic.program)
      assert.deepStrictEqual(lines, [
        "40 of 40 files, 19.1 KiB in 2240 ms, 16 at once",
        "Everything is there."
      ])
    }))

  it.effect("large-file-resume: what is stored is not sent again", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.virtual(LargeFile.program)
      assert.deepStrictEqual(value.stored, value.own)
      assert.deepStrictEqual(lines, [
        "first process: cut off, 4 parts are stored",
        "second process: 24.0 MiB sent, 16.0 MiB were there",
        "crc32c SX6EHw==: the same"
      ])
    }))

  it.effect("per-tenant-limits: one with many files does not hold up the others", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.virtual(PerTenantLimits.program)
      assert.deepStrictEqual(value, { peak: 6, inUse: 0 })
      assert.deepStrictEqual(lines, [
        "first: 5 files in 222 ms",
        "second: 5 files in 232 ms",
        "third: 5 files in 241 ms",
        "large: 200 files in 5101 ms",
        "never more than 6 requests in flight"
      ])
    }))

  it.effect("two-destinations", () =>
    Effect.gen(function*() {
      const { lines } = yield* Transcript.virtual(TwoDestinations.program)
      assert.deepStrictEqual(lines, ["32 avatars in 40 ms", "an export of 4.8 MiB in 1 attempt"])
    }))

  it.effect("journal-in-a-database: the next process sends the rest", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.virtual(JournalInDatabase.program)
      assert.deepStrictEqual(value, { left: [], aborted: 0 })
      assert.deepStrictEqual(lines, [
        "first process: cut off, with films/holiday.mkv: 4 parts in the database",
        "second process: 1 file, 24.0 MiB sent, 16.0 MiB were there"
      ])
    }))

  it.effect("composed-uploads: what Effect has for effects works on an upload", () =>
    Effect.gen(function*() {
      const { lines } = yield* Transcript.virtual(Composed.program)
      assert.deepStrictEqual(lines, [
        "forEach: 20 photos, 8 at once",
        "retry: Uploaded at try 3",
        "timeout: too late, 0 uploads left behind",
        "race: Paris has it",
        "semaphore: 20 photos for each of two users, two at once, in 1s"
      ])
    }))

  it.effect("worker-pool: two lists, one pool", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.virtual(WorkerPool.program)
      assert.strictEqual(value.peak, 10)
      assert.deepStrictEqual(lines, [
        "50 files in 3650 ms",
        "50 files in 3650 ms",
        "never more than 10 requests in flight, both together"
      ])
    }))

  it.effect("rate-limited: 20 starts in each second", () =>
    Effect.gen(function*() {
      const { value } = yield* Transcript.virtual(RateLimited.program)
      assert.deepStrictEqual(value.perSecond, [20, 20, 10])
      // The 50th starts after 49 × 50 ms, and takes 1,080 ms.
      assert.strictEqual(value.report.durationMillis, 49 * 50 + 1080)
    }))

  it.effect("progress-monitor: a line each half second, and 100 % at the end only", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.virtual(ProgressMonitor.program)
      assert.strictEqual(value.durationMillis, 3280)
      assert.deepStrictEqual(lines, [
        "[####................]  21 %  16/60 files  10.1 KiB/s  8 in flight  2 s left",
        "[#######.............]  39 %  27/60 files  9.2 KiB/s  8 in flight  2 s left",
        "[###########.........]  58 %  36/60 files  9.0 KiB/s  8 in flight  2 s left",
        "[###############.....]  77 %  44/60 files  9.0 KiB/s  8 in flight  1 s left",
        "[##################..]  94 %  50/60 files  8.7 KiB/s  8 in flight  1 s left",
        "[###################.]  99 %  56/60 files  7.7 KiB/s  4 in flight  0 s left",
        "[####################]  100 %  60/60 files  7.1 KiB/s  0 in flight  0 s left"
      ])
    }))

  it.effect("retry-with-backoff: every failure is reported, and every file arrives", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.virtual(Retry.program)
      assert.strictEqual(value.files.uploaded, 12)
      assert.isAbove(value.retries, 0)
      assert.strictEqual(value.attempts, 12 + value.retries)
      assert.strictEqual(lines.length, value.retries + 1)
      assert.match(lines[0]!, /^logs\/\d+\.gz: attempt 1 of 6 failed, again in \d+ ms \(The simulated network broke/)
      assert.strictEqual(lines.at(-1), `12 files uploaded, 0 failed, in ${value.attempts} attempts`)
    }))

  it.effect("bandwidth-cap-and-monitor: 512 KiB a second, then 2 MiB", () =>
    Effect.gen(function*() {
      const { value } = yield* Transcript.virtual(BandwidthCap.program)
      for (const seen of value.seen) {
        assert.isAtMost(seen, 512 * 1024)
        assert.isAtLeast(seen, 0.95 * 512 * 1024)
      }
      assert.strictEqual(value.report.files.uploaded, 64)
      assert.isBelow(value.report.durationMillis, 4_300)
    }))

  it.effect("adaptive-rate: doubles while answers are fast, halves when they are slow", () =>
    Effect.gen(function*() {
      const { value } = yield* Transcript.virtual(AdaptiveRate.program)
      assert.deepStrictEqual(value.rates, [10, 20, 40, 80, 80, 40, 20, 10, 20, 40, 80, 80, 40])
      assert.strictEqual(value.report.files.uploaded, 250)
    }))

  it.effect("adaptive: follows the link down and up again", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.virtual(Adaptive.program)
      assert.strictEqual(value.report.files.uploaded, 2_000)
      const between = (from: number, to: number) =>
        lines.flatMap((line) => {
          const [, seconds, limit] = /^ *([\d.]+) s {2}(\d+) at once: \S/.exec(line) ?? []
          return Number(seconds) >= from && Number(seconds) < to ? [Number(limit)] : []
        })
      // The link is full with 24, since each of them also waits for its round trip; then with 6; then with 24 again.
      assert.isAtLeast(Math.max(...between(0, 15)), 24)
      assert.isAtMost(Math.max(...between(25, 45)), 10)
      assert.isAtLeast(value.limits[value.limits.length - 1]!, 22)
      assert.isAtMost(Math.max(...value.limits), 64)
    }))

  it.effect("testing-on-the-virtual-clock: every fault strikes, and no promise is broken", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.printed(VirtualTesting.program)
      assert.deepStrictEqual(value.value.violations, [])
      assert.strictEqual(value.value.faults.length, 3)
      assert.strictEqual(lines[1], "3 faults struck, 0 promises broken")
    }))

  it.effect("interrupt-and-drain: nothing is left running", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.virtual(InterruptAndDrain.program)
      assert.deepStrictEqual(lines, [
        "drain: Drained, 20 uploaded, 0 interrupted, 80 not started",
        "interrupt: Interrupted, 15 uploaded, 5 interrupted, 80 not started",
        "timeout: no report",
        "in flight at the end: 0"
      ])
      // Drained at 1,000 ms, when the fourth five had begun; they end at 1,200 ms. Interrupted at 1,000 ms sharp.
      assert.strictEqual(value.drained.durationMillis, 1_200)
      assert.strictEqual(value.interrupted.durationMillis, 1_000)
      assert.isTrue(Option.isNone(value.timedOut))
    }))

  it.effect("error-resilience: three fail, each for its reason, and two arrive", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.virtual(ErrorResilience.program)
      assert.deepStrictEqual(
        new Set(value.failed.map(({ error, file }) => `${file.key} ${error._tag}`)),
        new Set([
          "../../etc/passwd Rejected",
          "notes/tuesday.txt SourceUnreadable",
          "notes/wednesday.txt SourceChanged"
        ])
      )
      assert.strictEqual(lines[0], "2 of 5 files uploaded")
      assert.strictEqual(lines.at(-1), "/absolute: rejected as InvalidKey")
    }))

  it.effect("metrics: the counts match what happened", () =>
    Effect.gen(function*() {
      const { value } = yield* Transcript.virtual(Metrics.program)
      assert.strictEqual(value.uploaded, 30)
      assert.strictEqual(value.bytes, 30 * 100 + 10 * (29 * 30) / 2)
      assert.isAbove(value.retries, 0)
      assert.isAbove(value.sent, value.bytes)
      assert.strictEqual(value.duration.count, 30)
    }))

  it.effect("huge-lazy-list: the list is pulled as uploads end", () =>
    Effect.gen(function*() {
      const { value } = yield* Transcript.virtual(HugeLazyList.upload(10_000))
      assert.strictEqual(value.report.files.uploaded, 10_000)
      // When one has its result, the 63 others of the pool are on their way, and no more have been asked for.
      assert.strictEqual(value.mostAhead, 63)
    }))

  it.effect("custom-destination: the same content is kept once", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.virtual(CustomDestination.program)
      assert.deepStrictEqual([...value.store.contents.values()], [5, 3])
      assert.deepStrictEqual(lines, [
        "2cf24dba  a/hello.txt",
        "2cf24dba  b/hello-again.txt",
        "b49f425a  b/bye.txt",
        "refused   b/bye.exe: No programs, please.",
        "3 names, 2 contents"
      ])
    }))

  it.effect("testing-with-test-clock: an hour, instant by instant", () =>
    Effect.gen(function*() {
      const { lines } = yield* Transcript.printed(Testing.program)
      assert.deepStrictEqual(lines, [
        "after 59 minutes: 0 in flight, stored: nothing",
        "after an hour: 1 in flight, stored: nothing",
        "3 s later: 1 in flight, stored: database.dump",
        "1 s later: 0 in flight, stored: database.dump, settings.json",
        "it took 4000 ms"
      ])
    }))

  it.scopedLive("upload-to-tus: a small file in one request, a large one in parts", () =>
    Effect.gen(function*() {
      const server = yield* TusServer.serve
      const { lines } = yield* Transcript.printed(UploadToTus.program).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["TUS_URL", server.url]])))
      )
      assert.strictEqual(lines.at(-1), "2 of 2 files uploaded")
      assert.deepStrictEqual(
        lines.slice(0, -1).map((line) => line.replace(/\d+$/, "")).toSorted(),
        [`films/holiday.mkv, 20.0 MiB: ${server.url}`, `notes/today.txt, 14 B: ${server.url}`]
      )
      assert.deepStrictEqual(
        server.log.map((line) => line.replace(/\/\d+ /, "/n ")).toSorted(),
        [
          "HEAD /files/n 0",
          "OPTIONS /files/ 0",
          `PATCH /files/n ${4 * 1024 ** 2}`,
          `PATCH /files/n ${8 * 1024 ** 2}`,
          `PATCH /files/n ${8 * 1024 ** 2}`,
          "POST /files/ 0",
          "POST /files/ 14"
        ]
      )
    }))

  it("are all listed in the README", () => {
    const readme = fs.readFileSync(path.join(root, "README.md"), "utf8")
    const listed = [...readme.matchAll(/\]\(src\/([\w-]+\.ts)\)/g)].map(([, file]) => file)
    assert.deepStrictEqual(listed.toSorted(), examples.toSorted())
  })

  it("run when they are started", { timeout: 60_000 }, () => {
    const output = execFileSync(
      process.execPath,
      ["--conditions=@sluice/source", "--import", "tsx", path.join(root, "src/custom-destination.ts")],
      { cwd: root, encoding: "utf8" }
    )
    assert.strictEqual(output.trimEnd().split("\n").at(-1), "3 names, 2 contents")
  })
})
