import { assert, describe, it } from "@effect/vitest"
import { Destination, Limits, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { UploadError } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as History from "@sluice/core/testing/History"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect } from "effect"
import * as EngineLimits from "../../src/internal/limits/engineLimits.js"

const bytes = (size: number) => Uint8Array.from({ length: size }, (_, i) => i % 251)

const body = (size: number): Destination.Body => {
  const all = bytes(size)
  const self: Destination.Body = {
    size,
    inOnePiece: true,
    stream: () => {
      throw new Error("not used")
    },
    blocks: () => Effect.dieMessage("not used"),
    bytes: Effect.succeed(all),
    whole: Effect.suspend(() => Effect.succeed(self)),
    checksum: undefined,
    unwatched: (effect) => effect,
    release: () => {}
  }
  return self
}

const progress = (changes: { readonly bytesUploaded?: number; readonly inFlight?: number }) => ({
  startedAt: 0,
  listing: false,
  filesFound: 1,
  filesUploaded: 0,
  filesSkipped: 0,
  filesFailed: 0,
  filesInterrupted: 0,
  filesOfUnknownSize: 0,
  inFlight: 0,
  peakInFlight: 1,
  bytesFound: 100,
  bytesUploaded: 0,
  bytesInFlight: 0,
  bytesResumed: 0,
  attempts: 1,
  retries: 0,
  ...changes
})

/** Requests of a faulty engine to a destination, and what the history finds. */
const broken = (
  misdeed: (given: {
    readonly destination: Destination.Destination["Type"]
    readonly multipart: Destination.Multipart
    readonly recorder: ReturnType<History.Recording["begin"]>
    readonly history: History.Recording
    readonly network: Simulated.Network["Type"]
  }) => Effect.Effect<unknown, UploadError.UploadError>,
  options: Parameters<History.Recording["begin"]>[0] = {}
) =>
  VirtualClock.run(Effect.gen(function*() {
    const { destination, network } = yield* Simulated.make({ observe: true, requestLatency: 10 })
    const history = History.make()
    const recorder = history.begin(options)
    const recorded = recorder.destination(history.beneath(destination))
    history.source("a", [bytes(5)])
    yield* misdeed({ destination: recorded, multipart: recorded.multipart!, recorder, history, network })
    yield* recorder.returned()
    const objects = new Map(Array.from(network.objects, ([key, { bytes }]) => [key, bytes]))
    history.end({ objects, sessions: yield* network.sessions, journal: [] })
    return History.check(history).map(({ message, promise }) => `${promise}: ${message}`)
  })).pipe(Effect.map(({ value }) => value))

const create = (multipart: Destination.Multipart) =>
  Effect.map(
    multipart.create({ key: "a", size: 5, checksum: undefined, token: "token" }),
    (uploadId) => ({ key: "a", uploadId })
  )

const part = (session: Destination.Session) => ({ ...session, number: 1, offset: 0, total: 5, body: body(5) })

describe("History.check", () => {
  it.effect("finds nothing wrong with an uploader that keeps its promises", () =>
    VirtualClock.run(Effect.scoped(Effect.gen(function*() {
      const { destination, network } = yield* Simulated.make({ observe: true, requestLatency: 10 })
      const history = History.make()
      const recorder = history.begin()
      const uploader = yield* Effect.provideService(
        Uploader.make({ multipartThreshold: 2_000, partSize: 1_000, strategy: Strategy.workerPool({ workers: 2 }) }),
        Destination.Destination,
        recorder.destination(history.beneath(destination))
      )
      const keys = ["a", "b", "c", "d"]
      for (const [i, key] of keys.entries()) history.source(key, [bytes(i * 2_000)])
      const run = yield* uploader.start(keys.map((key, i) => UploadFile.fromBytes(key, bytes(i * 2_000))), {
        paused: true,
        onEvent: recorder.onEvent,
        onResult: recorder.onResult
      })
      yield* recorder.watch({ limits: uploader.limits, progress: run.currentProgress })
      yield* run.resume
      yield* run.report
      yield* recorder.returned()
      const objects = new Map(Array.from(network.objects, ([key, { bytes }]) => [key, bytes]))
      history.end({ objects, sessions: yield* network.sessions, journal: [] })
      assert.deepStrictEqual(History.check(history), [])
      assert.strictEqual(objects.size, 4)
    }))))

  it.effect("finds an object that no source ever was", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* broken(({ destination }) => destination.put({ key: "a", body: body(4) })), [
        "corrupted: a holds 4 bytes that its source never had"
      ])
    }))

  it.effect("finds what is committed and then aborted, and a part that comes after the end", () =>
    Effect.gen(function*() {
      const told = yield* broken(({ multipart }) =>
        Effect.gen(function*() {
          const session = yield* create(multipart)
          const stored = yield* multipart.uploadPart(part(session))
          yield* multipart.complete({ ...session, parts: [stored], size: 5, checksum: undefined })
          yield* multipart.abort(session)
          yield* Effect.ignore(multipart.uploadPart(part(session)))
        })
      )
      assert.deepStrictEqual(told, [
        "order: committed, then aborted: upload upload-1 of a (process 1)",
        "order: uploadPart a part 1 after complete: upload upload-1 of a (process 1)",
        "order: uploadPart a part 1 after abort: upload upload-1 of a (process 1)"
      ])
    }))

  it.effect("finds an abort that races a part, and an upload that is left over", () =>
    Effect.gen(function*() {
      const told = yield* broken(({ multipart }) =>
        Effect.gen(function*() {
          const session = yield* create(multipart)
          yield* Effect.all([Effect.ignore(multipart.uploadPart(part(session))), multipart.abort(session)], {
            concurrency: 2
          })
          yield* create(multipart)
        })
      )
      assert.deepStrictEqual(told, [
        "order: abort while uploadPart a part 1 is in flight: upload upload-1 of a (process 1)",
        "orphaned: upload upload-2 of a is left at the destination"
      ])
    }))

  it.effect("finds a create that the journal does not know", () =>
    Effect.gen(function*() {
      const told = yield* broken(
        ({ multipart }) => Effect.flatMap(create(multipart), (session) => multipart.abort(session)),
        { journal: true }
      )
      assert.deepStrictEqual(told, ["order: create a came before the journal had it written (process 1)"])
    }))

  it.effect("finds requests without permits, and what is left over when a run is over", () =>
    Effect.gen(function*() {
      const told = yield* broken(({ destination, recorder }) =>
        Effect.gen(function*() {
          const limits = Limits.make(Strategy.workerPool({ workers: 1 }))
          yield* recorder.watch({ limits, progress: Effect.succeed(progress({})) })
          EngineLimits.of(limits).inFlight.unsafeTake(1)
          const put = destination.put({ key: "a", body: body(5) })
          yield* Effect.all([put, put], { concurrency: 2 })
        })
      )
      assert.deepStrictEqual(told, [
        "bounds: 2 requests in flight have 1 permits at 0 ms (process 1)",
        "leaked: 1 permits are left when the run is over (process 1)",
        "bounds: 2 requests in flight of 1 with put a at 0 ms (process 1)"
      ])
    }))

  it.effect("finds progress that goes back", () =>
    Effect.gen(function*() {
      let bytesUploaded = 60
      const told = yield* broken(({ recorder }) =>
        recorder.watch({
          limits: Limits.make(Strategy.unlimited),
          progress: Effect.sync(() => progress({ bytesUploaded: bytesUploaded -= 10 }))
        })
      )
      assert.include(told, "progress: uploaded bytes went back from 50 to 40 (process 1)")
    }))
})
