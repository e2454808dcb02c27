import { assert, describe, it, vi } from "@effect/vitest"
import type { Limits } from "@sluice/core"
import { ByteSource, Strategy, UploadFile } from "@sluice/core"
import { Clock, Effect, Random, Stream } from "effect"
import * as Bandwidth from "../src/internal/limits/bandwidth.js"
import * as Recording from "./support/Recording.js"
import { broken } from "./support/RunFiles.js"
import { files, inFlight, randomly } from "./support/UploadedFiles.js"

// Slow machines are slow; nothing here is timed by the wall clock.
vi.setConfig({ testTimeout: 30_000 })

function* lazily(count: number) {
  for (let i = 0; i < count; i++) yield UploadFile.make(`f${i}`, ByteSource.generate(0))
}

/** Of all windows of whole milliseconds up to `longest`, the most starts above `rate` × window, rounded up. */
const worstExcess = (starts: ReadonlyArray<number>, rate: number, longest = 1_000): number => {
  let worst = 0
  for (let first = 0; first < starts.length; first++) {
    if (starts[first] === starts[first - 1]) continue
    for (let last = first; last < starts.length; last++) {
      const window = starts[last]! - starts[first]! + 1
      if (window > longest) break
      worst = Math.max(worst, last - first + 1 - Math.ceil((rate * window) / 1000 - 1e-9))
    }
  }
  return worst
}

describe("a worker pool", () => {
  for (const workers of [1, 3, 16]) {
    it.effect(`of ${workers} never has more in flight, and never fewer while files are left`, () =>
      Effect.gen(function*() {
        const recording = Recording.make(randomly)
        const { millis, report } = yield* Recording.uploadAll(recording, files(200), {
          strategy: Strategy.workerPool({ workers })
        }).pipe(Effect.withRandom(Random.make(workers)))
        const counts = inFlight(recording.history)
        assert.strictEqual(Math.max(...counts), workers)
        assert.strictEqual(report.peakInFlight, workers)
        assert.strictEqual(recording.objects.size, 200)
        // At every instant but those after the last start, all workers are busy.
        const lastStart = recording.starts.at(-1)!
        recording.history.forEach(([at, event], i) => {
          const endOfInstant = recording.history[i + 1]?.[0] !== at
          if (at < lastStart && endOfInstant) assert.strictEqual(counts[i], workers, `at ${at}, after ${event}`)
        })
        assert.strictEqual(counts.at(-1), 0)
        assert.isAtMost(millis, 200 * 100 / workers + 100)
      }))
  }

  it.effect("is never exceeded while attempts fail, back off and come back", () =>
    Effect.gen(function*() {
      const recording = Recording.make((put) =>
        Effect.flatMap(Random.next, (chance) =>
          chance < 0.4 ? Effect.zipRight(Effect.sleep(5), Effect.fail(broken)) : randomly(put))
      )
      const { report } = yield* Recording.uploadAll(recording, files(200), {
        strategy: Strategy.workerPool({ workers: 7 })
      }).pipe(Effect.withRandom(Random.make("retries")))
      assert.strictEqual(Math.max(...inFlight(recording.history)), 7)
      assert.isAbove(report.retries, 50)
      assert.strictEqual(report.files.uploaded, 200)
    }))

  it.effect("takes the next file in the very instant in which one ends", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      yield* Recording.uploadAll(recording, files(5), { strategy: Strategy.workerPool({ workers: 2 }) })
      assert.deepStrictEqual(recording.starts, [0, 0, 10, 10, 20])
    }))
})

describe("unlimited", () => {
  it.effect("starts each file as soon as it is listed", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      const listed = Stream.mapEffect(Stream.fromIterable(files(5)), (file) => Effect.as(Effect.sleep(3), file))
      const { report } = yield* Recording.uploadAll(recording, Stream.rechunk(listed, 1), {
        strategy: Strategy.unlimited
      })
      assert.deepStrictEqual(recording.starts, [3, 6, 9, 12, 15])
      assert.strictEqual(report.peakInFlight, 4)
    }))

  it.effect("has thousands in flight at once", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(10))
      const { millis, report } = yield* Recording.uploadAll(recording, lazily(2_000), { strategy: Strategy.unlimited })
      assert.deepStrictEqual([report.peakInFlight, report.files.uploaded, millis], [2_000, 2_000, 10])
    }))
})

describe("a start rate", () => {
  for (const rate of [0.5, 7, 50, 300, 900, 3_000]) {
    it.effect(`of ${rate} a second starts so many, and never more in any window`, () =>
      Effect.gen(function*() {
        const seconds = 10
        const recording = Recording.make(Recording.takeAfter(20))
        const { report } = yield* Recording.uploadAll(recording, lazily(rate * seconds), {
          strategy: Strategy.rateLimited({ uploadsPerSecond: rate })
        })
        const within = recording.starts.filter((at) => at < seconds * 1000).length
        assert.closeTo(within / (rate * seconds), 1, 0.02)
        assert.strictEqual(worstExcess(recording.starts, rate), 0)
        assert.strictEqual(report.files.uploaded, rate * seconds)
      }))
  }

  it.effect("stacks with a pool: the tightest holds", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      const { report } = yield* Recording.uploadAll(recording, files(12), {
        strategy: Strategy.stack(Strategy.workerPool({ workers: 3 }), Strategy.rateLimited({ uploadsPerSecond: 100 }))
      })
      assert.deepStrictEqual(recording.starts, [0, 10, 20, 100, 110, 120, 200, 210, 220, 300, 310, 320])
      assert.strictEqual(report.peakInFlight, 3)
    }))
})

describe("a bandwidth cap", () => {
  for (const rate of [10 * 1024, 1024 ** 2, 50 * 1024 ** 2]) {
    it.effect(`of ${rate} bytes a second holds for small files and large ones together`, () =>
      Effect.gen(function*() {
        const sent: Array<readonly [at: number, bytes: number]> = []
        const note = (block: Uint8Array) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            sent.push([now, block.length])
          })
        const recording = Recording.make(({ body }) =>
          body.inOnePiece ? Effect.asVoid(Effect.tap(body.bytes, note)) : Stream.runForEach(body.stream(), note)
        )
        // Ten seconds' worth: half of it in one file, a quarter in ten, the rest in small ones.
        const unit = Bandwidth.make(rate).unit
        const small = Math.ceil(rate * 2.5 / unit)
        const list = [
          UploadFile.make("large", ByteSource.generate(rate * 5)),
          ...Array.from({ length: 10 }, (_, i) => UploadFile.make(`m${i}`, ByteSource.generate(rate / 4))),
          ...Array.from({ length: small }, (_, i) => UploadFile.make(`s${i}`, ByteSource.generate(unit)))
        ]
        const { millis, report } = yield* Recording.uploadAll(recording, list, {
          strategy: Strategy.stack(
            Strategy.workerPool({ workers: 8 }),
            Strategy.bandwidth({ bytesPerSecond: rate })
          )
        })
        const bytes = report.bytes.uploaded
        assert.strictEqual(sent.reduce((total, [, size]) => total + size, 0), bytes)
        assert.closeTo(bytes * 1000 / millis / rate, 0.995, 0.015)
        let first = 0
        let inSecond = 0
        let most = 0
        for (const [at, size] of sent) {
          inSecond += size
          while (sent[first]![0] <= at - 1000) inSecond -= sent[first++]![1]
          most = Math.max(most, inSecond)
        }
        assert.isAtMost(most, rate + Bandwidth.burst(rate) + 1)
      }))
  }
})

describe("the limits of a running upload", () => {
  /** Turns the knobs of an uploader at given instants, while it uploads. */
  const turning = (
    recording: Recording.Recording,
    list: Iterable<UploadFile.UploadFile>,
    strategy: Strategy.Strategy,
    turns: ReadonlyArray<readonly [at: number, settings: Partial<Limits.Settings>]>
  ) =>
    Recording.virtual(Effect.gen(function*() {
      const uploader = yield* Recording.uploader(recording, { strategy })
      const run = yield* uploader.start(list)
      for (const [at, settings] of turns) {
        yield* Effect.sleep(at - (yield* Clock.currentTimeMillis))
        yield* run.limits.set(settings)
      }
      yield* run.report
      return yield* uploader.limits.current
    }))

  it.effect("can be raised and lowered: concurrency", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      const { value } = yield* turning(recording, files(23), Strategy.workerPool({ workers: 2 }), [
        [150, { concurrency: 5 }],
        [360, { concurrency: 1 }],
        [650, { concurrency: 4 }]
      ])
      assert.deepStrictEqual(
        recording.starts,
        [
          [0, 0, 100, 100, 150, 150, 150],
          [200, 200, 250, 250, 250, 300, 300, 350, 350, 350],
          // Those in flight end; from 450 on it is one at a time.
          [450, 550, 650, 650, 650, 650]
        ].flat()
      )
      assert.strictEqual(value.concurrency, 4)
    }))

  it.effect("can be raised and lowered: concurrency without a limit", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      yield* turning(recording, files(300), Strategy.workerPool({ workers: 1 }), [[50, { concurrency: Infinity }]])
      assert.deepStrictEqual(recording.starts, [0, ...Array.from({ length: 299 }, () => 50)])
    }))

  it.effect("can be raised and lowered: starts a second", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAll)
      yield* turning(recording, files(12), Strategy.rateLimited({ uploadsPerSecond: 1 }), [
        [1_500, { uploadsPerSecond: 10 }],
        [1_800, { uploadsPerSecond: 2 }],
        [3_600, { uploadsPerSecond: Infinity }]
      ])
      // At 1,500 half a start is owed: 50 ms at 10 a second. At 1,800 too: 250 ms at 2 a second.
      assert.deepStrictEqual(
        recording.starts,
        [
          [0, 1_000, 1_550, 1_650, 1_750],
          [2_050, 2_550, 3_050, 3_550],
          [3_600, 3_600, 3_600]
        ].flat()
      )
    }))

  it.effect("can be raised and lowered: bandwidth", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeStream)
      const megabyte = [UploadFile.make("a", ByteSource.generate(1_000_000))]
      const { millis } = yield* turning(recording, megabyte, Strategy.bandwidth({ bytesPerSecond: 100_000 }), [
        [2_000, { bytesPerSecond: 1_000_000 }],
        [2_500, { bytesPerSecond: 50_000 }],
        [4_500, { bytesPerSecond: Infinity }]
      ])
      // 200,000 + 500,000 + 100,000 bytes by then, and the rest at once.
      assert.strictEqual(millis, 4_500)
      const slow = Recording.make(Recording.takeStream)
      const { millis: slowMillis } = yield* turning(slow, megabyte, Strategy.bandwidth({ bytesPerSecond: 100_000 }), [
        [2_000, { bytesPerSecond: 1_000_000 }],
        [2_500, { bytesPerSecond: 50_000 }]
      ])
      // A unit of the old rate that was being waited for takes 400 ms at the new one.
      assert.isTrue(slowMillis >= 2_500 + 300_000 / 50 && slowMillis <= 2_500 + 330_000 / 50, `${slowMillis}`)
    }))

  it.effect("has room for one at least, while it has any", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(100))
      const { millis, value } = yield* turning(recording, files(4), Strategy.workerPool({ workers: 2 }), [
        [50, { concurrency: 0.4 }]
      ])
      assert.strictEqual(value.concurrency, 1)
      assert.strictEqual(millis, 300)
    }))
})
