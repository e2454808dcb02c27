/**
 * A source that gives nothing holds nobody up: it fails after the stall timeout, by its own name, and gives back what
 * it held. One that is slow but gives is waited for, however long it takes.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  ByteSource,
  Destination,
  Journal,
  RetryPolicy,
  Strategy,
  Uploader,
  UploadError,
  UploadFile
} from "@sluice/core"
import type { UploadResult } from "@sluice/core"
import { Duration, Effect, Layer, Option, Stream, TestClock } from "effect"
import * as PartsRecording from "../support/PartsRecording.js"
import * as Recording from "../support/Recording.js"

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i % 251)

/** Blocks of a size, one every so often, and from some block on nothing. */
const blocks = (options: {
  readonly size: number
  readonly block?: number
  readonly every?: number
  readonly quietAfter?: number
}): Stream.Stream<Uint8Array> => {
  const { block = options.size, every = 0, quietAfter = Infinity, size } = options
  const all = bytes(size)
  return Stream.unfoldEffect(0, (at) =>
    at >= quietAfter
      ? Effect.never
      : at >= size
      ? Effect.succeedNone
      : Effect.as(Effect.sleep(every), Option.some([all.subarray(at, at + block), at + block] as const))).pipe(
      Stream.rechunk(1)
    )
}

/** A source that can be read again: each time it gives what `read` says. */
const reopenable = (size: number, read: (time: number) => Stream.Stream<Uint8Array>): ByteSource.ByteSource => {
  let time = 0
  const stream = (range: ByteSource.Range) =>
    Stream.suspend(() => {
      let skip = range.offset
      let left = range.length ?? Infinity
      return read(++time).pipe(
        Stream.map((block) => {
          const from = Math.min(skip, block.length)
          const part = block.subarray(from, from + left)
          skip -= from
          left -= part.length
          return part
        }),
        Stream.takeUntil(() => left === 0)
      )
    })
  return {
    size,
    reopenable: true,
    read: stream,
    bytes: (range) => Effect.map(Stream.runCollect(stream(range)), (all) => ByteSource.concat(Array.from(all))),
    fingerprint: undefined
  }
}

interface Way {
  readonly destination: () => Destination.Destination["Type"]
  readonly size: number
  /** Whether the size is known. */
  readonly tells: boolean
}

const mib = 1024 * 1024

const put = (take: typeof Recording.takeAll, capabilities: Partial<Destination.Capabilities> = {}) => () =>
  Recording.make(take, capabilities).destination

/** Each way in which a body is read. */
const ways: Record<string, Way> = {
  "all bytes of a small body": { destination: put(Recording.takeAll), size: 1_000, tells: true },
  "all bytes of a larger one": { destination: put(Recording.takeAll), size: 900_000, tells: true },
  "a body as a stream": { destination: put(Recording.takeStream), size: mib, tells: true },
  "a body that has to be whole": {
    destination: put(({ body }) => Effect.flatMap(body.whole, (whole) => whole.bytes), { wholeBodies: true }),
    size: mib,
    tells: true
  },
  "a body whose size nobody knows": { destination: put(Recording.takeStream), size: mib, tells: false },
  "what has to be read before its size is known": {
    destination: put(Recording.takeStream, { unknownSize: false }),
    size: mib,
    tells: false
  },
  "parts": { destination: () => PartsRecording.make().destination, size: 2 * mib, tells: true },
  "parts of what nobody knows the size of": {
    destination: () => PartsRecording.make({ capabilities: { unknownSize: false } }).destination,
    size: 2 * mib,
    tells: false
  }
}

const parts = { multipartThreshold: "256 KiB", partSize: "256 KiB" } as const

const upload = (way: Way, source: ByteSource.ByteSource, options: Uploader.Options = {}) =>
  Recording.virtual(Effect.gen(function*() {
    const uploader = yield* Uploader.make({ ...parts, strategy: Strategy.workerPool({ workers: 1 }), ...options }).pipe(
      Effect.provideService(Destination.Destination, way.destination())
    )
    const results: Array<UploadResult.UploadResult> = []
    const [taken] = yield* Effect.timed(uploader.uploadAll(
      [UploadFile.make("quiet", source), UploadFile.fromText("next", "next")],
      { stallTimeout: "5 seconds", onResult: (result) => Effect.sync(() => results.push(result)) }
    ))
    return { results, taken, held: yield* uploader.limits.inUse }
  }))

const told = (results: ReadonlyArray<UploadResult.UploadResult>) =>
  results.map((result) =>
    result._tag === "Failed" && "reason" in result.error
      ? `${result.file.key}: ${result.error._tag} ${result.error.reason}`
      : Recording.summary(result)
  ).toSorted()

describe("a source that gives nothing", () => {
  for (const [what, way] of Object.entries(ways)) {
    const size = way.tells ? way.size : undefined
    for (const quietAfter of [0, way.size / 2]) {
      it.effect(`fails after the stall timeout and lets the next go on: ${what}, quiet after ${quietAfter} bytes`, () =>
        Effect.gen(function*() {
          const stream = blocks({ size: way.size, block: way.size / 10, quietAfter })
          const { millis, value } = yield* upload(way, ByteSource.fromStream(stream, { size }))
          assert.deepStrictEqual(told(value.results), ["Uploaded next", "quiet: SourceUnreadable Stalled"])
          assert.strictEqual(value.held, 0)
          const quiet = value.results.find(({ file }) => file.key === "quiet")!
          assert(quiet._tag === "Failed")
          assert.include(quiet.error.message, "source")
          // Requests of parts take their time.
          assert.isAtLeast(millis, 5_000)
          assert.isAtMost(millis, 5_500)
        }))
    }

    it.effect(`is waited for while it gives, if only now and then: ${what}`, () =>
      Effect.gen(function*() {
        const stream = blocks({ size: way.size, block: way.size / 100, every: 4_000 })
        const { millis, value } = yield* upload(way, ByteSource.fromStream(stream, { size }))
        assert.deepStrictEqual(told(value.results), ["Uploaded next", "Uploaded quiet"])
        assert.isAtLeast(millis, 400_000)
      }))

    if (!way.tells) continue

    it.effect(`is tried again where it can be read again: ${what}`, () =>
      Effect.gen(function*() {
        const source = reopenable(
          way.size,
          (time) => blocks({ size: way.size, block: way.size / 10, quietAfter: time === 1 ? 0 : Infinity })
        )
        const { value } = yield* upload(way, source)
        assert.deepStrictEqual(told(value.results), ["Uploaded next", "Uploaded quiet"])
      }))

    it.effect(`is waited for while it gives, where it can be read again: ${what}`, () =>
      Effect.gen(function*() {
        const source = reopenable(way.size, () => blocks({ size: way.size, block: way.size / 100, every: 1_000 }))
        const { value } = yield* upload(way, source, { retry: RetryPolicy.none })
        assert.deepStrictEqual(
          told(value.results),
          // Small sources are read in one call, which reports nothing before all bytes are there.
          way.size <= 64 * 1024
            ? ["Uploaded next", "quiet: SourceUnreadable Stalled"]
            : ["Uploaded next", "Uploaded quiet"]
        )
      }))
  }

  it.scoped("is released even if its own finalizer never ends, like that of a silent async generator", () =>
    Effect.gen(function*() {
      async function* quiet() {
        yield bytes(1)
        await new Promise(() => {})
      }
      for (const [what, way] of Object.entries(ways)) {
        const uploader = yield* Uploader.make({ ...parts, strategy: Strategy.workerPool({ workers: 1 }) }).pipe(
          Effect.provideService(Destination.Destination, way.destination())
        )
        const source = ByteSource.fromStream(Stream.fromAsyncIterable(quiet(), (cause) => cause), {
          size: way.tells ? way.size : undefined
        })
        const fiber = yield* Effect.fork(
          uploader.uploadAll([UploadFile.make("quiet", source), UploadFile.fromText("next", "next")], {
            stallTimeout: "5 seconds"
          })
        )
        for (let i = 0; i < 20 && (yield* fiber.poll)._tag === "None"; i++) {
          yield* Effect.promise(() => new Promise((resume) => setImmediate(resume)))
          yield* TestClock.adjust(500)
        }
        const exit = yield* fiber.poll
        assert.isTrue(Option.isSome(exit), what)
        assert.strictEqual((yield* fiber).files.uploaded, 1, what)
        assert.strictEqual(yield* uploader.limits.inUse, 0, what)
      }
    }))

  it.effect("fails if it is asked for its fingerprint and stays silent", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      let asked = 0
      const source: ByteSource.ByteSource = {
        ...ByteSource.generate(mib),
        ...reopenable(mib, () => blocks({ size: mib, block: mib / 16 })),
        get fingerprint() {
          return ++asked > 2 ? Effect.never : Effect.succeed("1")
        }
      }
      const { value } = yield* upload({ destination: () => recording.destination, size: mib, tells: true }, source, {
        retry: RetryPolicy.none
      })
      assert.deepStrictEqual(told(value.results), ["Uploaded next", "quiet: SourceUnreadable Stalled"])
    }))

  it.effect("ends no run if it dies while it is checked again", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const source: ByteSource.ByteSource = {
        ...ByteSource.fromBytes(bytes(9)),
        fingerprint: Effect.succeed("2"),
        checksFingerprint: true,
        read: () => Stream.fail(new UploadError.SourceChanged({ reason: "Modified", detail: "It changed." })),
        bytes: () => Effect.fail(new UploadError.SourceChanged({ reason: "Modified", detail: "It changed." })),
        latest: Effect.die("boom")
      }
      const { report } = yield* Recording.uploadAll(
        recording,
        [UploadFile.make("a", source, { fingerprint: "1" }), UploadFile.fromText("b", "b")],
        { run: { onSourceChange: "retry" } }
      )
      assert.deepStrictEqual([report.files.uploaded, report.files.failed], [1, 1])
    }))

  it.effect("is not read into the same memory twice, however it is wrapped", () =>
    Effect.gen(function*() {
      const all = Uint8Array.from({ length: 700_000 }, (_, i) => (i * 7 + (i >> 9)) % 251)
      // As a file of a disk does, it reads into memory that it is given.
      const source: ByteSource.ByteSource = {
        size: all.length,
        reopenable: true,
        fingerprint: undefined,
        bytes: () => Effect.dieMessage("not asked for"),
        read: ({ into }) =>
          Stream.unfold(0, (at) => {
            if (at >= all.length) return Option.none()
            const part = all.subarray(at, at + 100_000)
            const block = into?.(part.length) ?? new Uint8Array(part.length)
            block.set(part)
            return Option.some([block.subarray(0, part.length), at + part.length] as const)
          })
      }
      const recording = Recording.make()
      yield* Recording.uploadAll(recording, [UploadFile.make("a", source)])
      assert.deepStrictEqual(Buffer.compare(recording.objects.get("a")!, all), 0)
    }))

  it.effect("does not hold up a whole uploader: four clients that send nothing, and one that does", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({ capabilities: { unknownSize: false } })
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Uploader.make({ memory: "64 MiB" }).pipe(
          Effect.provideService(Destination.Destination, recording.destination)
        )
        for (let i = 0; i < 4; i++) {
          yield* Effect.fork(
            uploader.upload(UploadFile.make(`quiet ${i}`, ByteSource.fromStream(Stream.never, { size: 5 })))
          )
        }
        yield* Effect.sleep(1_000)
        const [taken] = yield* Effect.timed(
          uploader.upload(UploadFile.make("loud", ByteSource.fromStream(Stream.make(bytes(5)), { size: 5 })))
        )
        return taken
      }))
      assert.isTrue(recording.objects.has("loud"))
      // It waits for the first of them to be given up, and no longer.
      assert.isAtMost(Duration.toMillis(value), 29_100)
    }))

  it.effect("keeps what is stored of a large file, if it can continue later", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make()
      const source: ByteSource.ByteSource = {
        ...reopenable(mib, () => blocks({ size: mib, block: mib / 16, quietAfter: mib / 2 })),
        fingerprint: Effect.succeed("1")
      }
      const { value } = yield* Recording.virtual(
        Effect.gen(function*() {
          const journal = yield* Journal.Journal
          const uploader = yield* Uploader.make({ ...parts, retry: RetryPolicy.none }).pipe(
            Effect.provideService(Destination.Destination, recording.destination)
          )
          const error = yield* Effect.flip(uploader.upload(UploadFile.make("film", source, { fingerprint: "1" })))
          assert.instanceOf(error, UploadError.SourceUnreadable)
          return (yield* journal.sessions).map(({ key, parts }) => [key, parts.size > 0])
        }).pipe(Effect.provide(Layer.fresh(Journal.layerMemory)))
      )
      assert.deepStrictEqual(value, [["film", true]])
    }))
})

describe("a source that waits for something else, and says so", () => {
  for (const [what, way] of Object.entries(ways)) {
    it.effect(`is no stall, however long that takes: ${what}`, () =>
      Effect.gen(function*() {
        const once = ByteSource.fromStream(blocks({ size: way.size, block: way.size / 10, every: 60_000 }), {
          size: way.tells ? way.size : undefined
        })
        const read = (range: ByteSource.Range) => {
          assert.isDefined(range.watch)
          const { unwatched } = range.watch!
          return Stream.fromPull(Effect.map(Stream.toPull(once.read(range)), unwatched))
        }
        const bytes = (range: ByteSource.Range) =>
          Effect.map(Stream.runCollect(read(range)), (all) => ByteSource.concat(Array.from(all)))
        const { value } = yield* upload(way, { ...once, read, bytes })
        assert.deepStrictEqual(told(value.results), ["Uploaded next", "Uploaded quiet"])
        assert.isAtLeast(Duration.toMillis(value.taken), 600_000)
      }))
  }
})

describe("a source whose connection is never established", () => {
  for (const [what, way] of Object.entries(ways)) {
    it.effect(`holds nobody up, though what makes it cannot be interrupted: ${what}`, () =>
      Effect.gen(function*() {
        const connected = Effect.acquireRelease(Effect.never, () => Effect.void)
        const source = ByteSource.fromStream(Stream.unwrapScoped(Effect.as(connected, Stream.empty)), {
          size: way.tells ? way.size : undefined
        })
        const { value } = yield* upload(way, source)
        assert.deepStrictEqual(told(value.results), ["Uploaded next", "quiet: SourceUnreadable Stalled"])
        assert.strictEqual(value.held, 0)
        assert.isAtMost(Duration.toMillis(value.taken), 8_000)
      }))
  }
})

describe("a source that fails in its own way", () => {
  const dies: Record<string, () => ByteSource.ByteSource> = {
    "dies when it is read": () => ByteSource.fromStream(Stream.die("boom"), { size: 10 }),
    "throws when it is asked": () => ({
      ...ByteSource.fromBytes(bytes(10)),
      read: () => {
        throw new Error("boom")
      },
      bytes: () => {
        throw new Error("boom")
      }
    }),
    "dies when it is asked for its fingerprint": () => ({
      ...ByteSource.fromBytes(bytes(10)),
      fingerprint: Effect.die("boom")
    })
  }
  for (const [what, way] of Object.entries(ways)) {
    for (const [how, make] of Object.entries(dies)) {
      it.effect(`is named as the source: it ${how}, ${what}`, () =>
        Effect.gen(function*() {
          const source = make()
          const size = way.tells ? source.size : undefined
          const { value } = yield* upload(way, { ...source, size })
          assert.deepStrictEqual(told(value.results), ["Uploaded next", "quiet: SourceUnreadable Failed"])
          const quiet = value.results.find(({ file }) => file.key === "quiet")!
          assert(quiet._tag === "Failed")
          assert.include(quiet.error.message, "boom")
          assert.notInclude(quiet.error.message, "driver")
        }))
    }
  }
})
