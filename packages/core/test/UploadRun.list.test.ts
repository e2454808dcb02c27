import { assert, describe, it, vi } from "@effect/vitest"
import { Strategy, UploadError, UploadReport, UploadResult } from "@sluice/core"
import type { UploadList, UploadRun } from "@sluice/core"
import type { Clock } from "effect"
import { Cause, Chunk, Duration, Effect, Exit, Option, Stream } from "effect"
import * as Recording from "./support/Recording.js"
import { files, keysOf, one } from "./support/RunFiles.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

describe("a list", () => {
  const listed = <E>(list: UploadList.UploadList<E>, run?: UploadRun.Options) =>
    Recording.uploadAll(Recording.make(), list, { strategy: one, run })

  async function* asynchronously<A>(items: Iterable<A>) {
    yield* items
  }

  it.effect("may be an array, a generator or a stream, empty or not", () =>
    Effect.gen(function*() {
      for (const count of [0, 1, 5]) {
        const lists = [
          files(count),
          new Set(files(count)),
          files(count).values(),
          Chunk.fromIterable(files(count)),
          Stream.fromIterable(files(count)),
          Stream.rechunk(Stream.fromIterable(files(count)), 1)
        ]
        for (const list of lists) {
          const { events, report, results } = yield* listed(list)
          assert.deepStrictEqual(keysOf(results), files(count).map(({ key }) => `Uploaded ${key}`))
          assert.strictEqual(report.files.total, count)
          assert.isTrue(UploadReport.isComplete(report))
          const totals = events.filter((event) => event._tag === "ListingFinished")
          assert.deepStrictEqual(totals.map(({ bytes, files }) => [files, bytes]), [[count, count * 10]])
        }
      }
    }))

  it.live("may be an async iterable", () =>
    Effect.gen(function*() {
      // An async iterable waits for promises, so not under virtual time.
      const recording = Recording.make()
      const results: Array<UploadResult.UploadResult> = []
      const report = yield* Effect.flatMap(Recording.uploader(recording, { strategy: one }), (uploader) =>
        uploader.uploadAll(asynchronously(files(5)), {
          onResult: (result) =>
            Effect.sync(() => results.push(result))
        }))
      assert.deepStrictEqual(
        keysOf(results),
        files(5).map(({ key }) =>
          `Uploaded ${key}`
        )
      )
      assert.deepStrictEqual(report.files.total, 5)
      const failing = async function*() {
        yield* files(2)
        throw new Error("No more.")
      }
      const exit = yield* Effect.exit(Effect.flatMap(Recording.uploader(recording), (uploader) =>
        uploader.uploadAll(failing(), {
          onResult: (result) => Effect.sync(() => results.push(result))
        })))
      assert.strictEqual(results.length, 7)
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
    }).pipe(Effect.scoped))

  it.effect("that fails fails the report with its own error, when the files before that have their results", () =>
    Effect.gen(function*() {
      for (const chunk of [1, 100]) {
        const recording = Recording.make(Recording.takeAfter(10))
        const results: Array<UploadResult.UploadResult> = []
        const list = Stream.concat(
          Stream.rechunk(Stream.fromIterable(files(5)), chunk),
          Stream.fail("no more" as const)
        )
        const { value } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(recording, { strategy: one })
          return yield* Effect.flip(
            uploader.uploadAll(list, { onResult: (result) => Effect.sync(() => results.push(result)) })
          )
        }))
        assert.strictEqual(value, "no more")
        assert.deepStrictEqual(keysOf(results), files(5).map(({ key }) => `Uploaded ${key}`))
      }
    }))

  it.effect("whose iterator throws dies of it, when the files before that have their results", () =>
    Effect.gen(function*() {
      const list = function*() {
        yield* files(3)
        throw new Error("No more.")
      }
      const results: Array<UploadResult.UploadResult> = []
      const exit = yield* Effect.exit(
        listed(list(), { onResult: (result) => Effect.sync(() => results.push(result)) })
      )
      assert.deepStrictEqual(keysOf(results), files(3).map(({ key }) => `Uploaded ${key}`))
      assert.isTrue(Exit.isFailure(exit) && Option.isSome(Cause.dieOption(exit.cause)))
    }))

  it.effect("may hold results that are known already", () =>
    Effect.gen(function*() {
      const unreadable: UploadResult.Failed = {
        _tag: "Failed",
        file: { key: "dir", size: undefined },
        attempts: 0,
        error: new UploadError.SourceUnreadable({ reason: "Forbidden", detail: "No." }),
        duration: Duration.zero
      }
      const link = UploadResult.skipped("link", "a link")
      const items = [link, ...files(2), unreadable, ...files(1, "g"), link]
      for (const list of [items, items.values(), Stream.fromIterable(items)]) {
        const { events, report, results } = yield* listed(list)
        assert.deepStrictEqual(keysOf(results), [
          "Skipped link",
          "Uploaded f0",
          "Uploaded f1",
          "Failed dir",
          "Uploaded g0",
          "Skipped link"
        ])
        assert.deepStrictEqual(report.files, {
          total: 6,
          uploaded: 3,
          skipped: 2,
          failed: 1,
          interrupted: 0,
          notStarted: 0
        })
        assert.deepStrictEqual([report.attempts, report.bytes.total], [3, 30])
        const finished = events.filter((event) => event._tag === "UploadFinished")
        assert.deepStrictEqual(finished[0], {
          _tag: "UploadFinished",
          version: 1,
          at: 0,
          key: "link",
          outcome: "Skipped",
          attempts: 0,
          bytes: 0,
          durationMillis: 0,
          reason: "a link"
        })
      }
    }))

  it.effect("that is an iterable is pulled one by one, as uploads start", () =>
    Effect.gen(function*() {
      const pulled: Array<number> = []
      const list = function*(clock: Clock.Clock) {
        for (const file of files(6)) {
          pulled.push(clock.unsafeCurrentTimeMillis())
          yield file
        }
      }
      const recording = Recording.make(Recording.takeAfter(10))
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording, { strategy: Strategy.workerPool({ workers: 2 }) })
        yield* uploader.uploadAll(list(yield* Effect.clock))
      }))
      assert.deepStrictEqual(recording.starts, [0, 0, 10, 10, 20, 20])
      // At most one waits ahead of the limits.
      assert.isTrue(pulled.every((at, i) => i === 0 || at >= recording.starts[i - 1]!))
    }))

  it.effect("that is a stream is read no more than the lookahead and a chunk ahead", () =>
    Effect.gen(function*() {
      for (const [lookahead, chunk] of [[1, 1], [2, 1], [10, 1], [10, 7], [100, 1], [5_000, 1]] as const) {
        let read = 0
        const list = files(12_000)
        const stream = Stream.fromIterable(list).pipe(
          Stream.rechunk(chunk),
          Stream.mapChunks((items) => {
            read += items.length
            return items
          })
        )
        const recording = Recording.make(Recording.takeAfter(10))
        yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(recording, { strategy: one })
          const run = yield* uploader.start(stream, { lookahead })
          for (let i = 0; i < 50; i++) {
            yield* Effect.sleep(10)
            // One in flight and one that waits for its permit.
            assert.isAtMost(read - recording.starts.length, lookahead + chunk + 1, `lookahead ${lookahead}`)
          }
          assert.isAtLeast(read - recording.starts.length, Math.floor(lookahead / 2))
          yield* run.interrupt
        }))
      }
    }))
})
