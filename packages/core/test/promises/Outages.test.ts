/**
 * A destination that is away for a while is waited for: by one who looks, while all others hold nothing and spend
 * nothing. One that was never there, or that is away for too long, fails fast.
 */
import { assert, describe, it } from "@effect/vitest"
import { ByteSource, Destination, RetryPolicy, Strategy, Uploader, UploadError, UploadFile } from "@sluice/core"
import type { Progress, UploadEvent, UploadList, UploadResult, UploadRun } from "@sluice/core"
import { Clock, Effect, Fiber, Option, Random, Stream } from "effect"
import * as PartsRecording from "../support/PartsRecording.js"
import * as Recording from "../support/Recording.js"

const away = new UploadError.Transient({ reason: "Connection", detail: "connect ECONNREFUSED" })

type Window = readonly [from: number, to: number]

/** A destination that takes 10 ms for a request, and whom nothing reaches at certain times. */
const awayDuring = (windows: ReadonlyArray<Window>, options: {
  readonly looks?: "head" | "probe" | "none"
  readonly fails?: (key: string) => UploadError.UploadError | undefined
  /** How long a put takes, in milliseconds. */
  readonly puts?: number
} = {}) => {
  const requests: Array<readonly [at: number, request: string]> = []
  const objects = new Map<string, number>()
  const ask = <A>(request: string, answer: Effect.Effect<A, UploadError.UploadError>) =>
    Effect.gen(function*() {
      const at = yield* Clock.currentTimeMillis
      requests.push([at, request])
      const isAway = (now: number) => windows.some(([from, to]) => now >= from && now < to)
      if (isAway(at)) return yield* Effect.zipRight(Effect.sleep(1), Effect.fail(away))
      const takes = request.startsWith("put") ? options.puts ?? 10 : 10
      const gone = windows.find(([from]) => from >= at && from < at + takes)
      // Requests in flight when it goes away are lost.
      if (gone !== undefined) return yield* Effect.zipRight(Effect.sleep(gone[0] - at), Effect.fail(away))
      yield* Effect.sleep(takes)
      return yield* answer
    })
  const { looks = "head" } = options
  const destination = Destination.Destination.of({
    name: "away:",
    capabilities: { maxPutSize: Infinity, unknownSize: true },
    put: ({ body, key }) =>
      ask(
        `put ${key}`,
        Effect.flatMap(body.bytes, (bytes) => {
          const error = options.fails?.(key)
          if (error !== undefined) return Effect.fail(error)
          objects.set(key, bytes.length)
          return Effect.succeed({})
        })
      ),
    ...(looks === "head" && {
      head: (key: string) =>
        ask(`head ${key}`, Effect.sync(() => Option.map(Option.fromNullable(objects.get(key)), (size) => ({ size }))))
    }),
    ...(looks === "probe" && { probe: ask("probe", Effect.void) })
  })
  const during = ([from, to]: Window) => requests.filter(([at]) => at >= from && at < to)
  return { destination, requests, objects, during }
}

const files = (count: number) =>
  Array.from({ length: count }, (_, i) => UploadFile.make(`f${i}`, ByteSource.generate(10)))

interface Run {
  readonly events: ReadonlyArray<UploadEvent.UploadEvent>
  readonly results: ReadonlyArray<UploadResult.UploadResult>
  readonly report: Awaited<ReturnType<typeof Object>> & {
    readonly files: { readonly uploaded: number; readonly failed: number }
    readonly retries: number
    readonly ended: string
  }
  readonly millis: number
  readonly held: number
}

const upload = (
  destination: Destination.Destination["Type"],
  list: UploadList.UploadList,
  options: Uploader.Options & {
    readonly steer?: (run: UploadRun.UploadRun) => Effect.Effect<unknown>
  } = {}
): Effect.Effect<Run> =>
  Effect.gen(function*() {
    const events: Array<UploadEvent.UploadEvent> = []
    const results: Array<UploadResult.UploadResult> = []
    const { steer = () => Effect.void, ...settings } = options
    const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
      const uploader = yield* Uploader.make({ strategy: Strategy.workerPool({ workers: 8 }), ...settings }).pipe(
        Effect.provideService(Destination.Destination, destination)
      )
      const report = yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* uploader.start(list, {
          onEvent: (event) => Effect.sync(() => events.push(event)),
          onResult: (result) => Effect.sync(() => results.push(result))
        })
        const steering = yield* Effect.fork(steer(run))
        const report = yield* run.report
        yield* Fiber.interrupt(steering)
        return report
      }))
      return { report, held: yield* uploader.limits.inUse }
    }))
    return { ...value, millis, events, results } as Run
  }).pipe(Effect.withRandom(Random.make("outages")))

const changes = ({ events }: Run) =>
  events.flatMap((event) => event._tag === "OutageChanged" ? [[event.at, event.state] as const] : [])

/** A destination of parts whom nothing reaches at certain times, and what it was asked for. */
const partsAwayDuring = (windows: ReadonlyArray<Window>) => {
  const recording = PartsRecording.make()
  const requests: Array<string> = []
  const { head, multipart, put } = recording.destination
  const guarded = <A>(request: string, call: Effect.Effect<A, UploadError.UploadError>) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      requests.push(request)
      return windows.some(([from, to]) => at >= from && at < to)
        ? Effect.zipRight(Effect.sleep(3), Effect.fail(away))
        : call
    })
  const destination: Destination.Destination["Type"] = {
    ...recording.destination,
    put: (request) => guarded("put", put(request)),
    head: (key) => guarded("head", head!(key)),
    multipart: {
      ...multipart!,
      create: (request) => guarded("create", multipart!.create(request)),
      uploadPart: (request) => guarded("part", multipart!.uploadPart(request)),
      listParts: (session) => guarded("list", multipart!.listParts(session)),
      complete: (request) => guarded("complete", multipart!.complete(request)),
      abort: (session) => guarded("abort", multipart!.abort(session))
    }
  }
  return { destination, requests, objects: recording.objects }
}

describe("an outage", () => {
  for (const looks of ["head", "probe"] as const) {
    it.effect(`of 40 s costs no file, and hardly a request, whoever looks: ${looks}`, () =>
      Effect.gen(function*() {
        const window: Window = [1_005, 41_000]
        const server = awayDuring([window], { looks })
        const run = yield* upload(server.destination, files(3_030))
        assert.deepStrictEqual([run.report.files.uploaded, run.report.files.failed], [3_030, 0])
        // Those in flight when it went, those that took their places until as many had failed in a row, and looks.
        const during = server.during(window)
        assert.isAtMost(during.filter(([, request]) => request.startsWith("put")).length, 15)
        assert.isAtMost(during.length, 15 + 20)
        assert.isAtMost(run.report.retries, 15)
        assert.deepStrictEqual(changes(run).map(([, state]) => state), ["Away", "Back"])
        // It is found to be back no more than a pause between two looks later.
        assert.isAtMost(changes(run)[1]![0], 41_000 + 5_020)
        assert.strictEqual(run.held, 0)
      }))
  }

  for (const workers of [1, 2, 64]) {
    it.effect(`is waited for with ${workers} at once, again and again, and no attempts run out`, () =>
      Effect.gen(function*() {
        const windows = Array.from({ length: 8 }, (_, i): Window => [10_000 * i + 15, 10_000 * i + 7_000])
        const server = awayDuring(windows)
        const run = yield* upload(server.destination, files(20 * workers), {
          strategy: Strategy.stack(
            Strategy.workerPool({ workers }),
            Strategy.rateLimited({ uploadsPerSecond: workers })
          )
        })
        assert.deepStrictEqual([run.report.files.uploaded, run.report.files.failed], [20 * workers, 0])
        assert.strictEqual(run.held, 0)
      }))
  }

  it.effect("is also survived with an adaptive strategy", () =>
    Effect.gen(function*() {
      const server = awayDuring([[505, 30_000], [31_000, 50_000]])
      const run = yield* upload(server.destination, files(1_500), { strategy: Strategy.adaptive() })
      assert.deepStrictEqual([run.report.files.uploaded, run.report.files.failed], [1_500, 0])
    }))

  it.effect("lets nothing begin, and begins all at once when it is over", () =>
    Effect.gen(function*() {
      const window: Window = [1_000, 20_000]
      const server = awayDuring([window])
      const slowly = Stream.rechunk(
        Stream.mapEffect(Stream.fromIterable(files(400)), (file) => Effect.as(Effect.sleep(100), file)),
        1
      )
      const run = yield* upload(server.destination, slowly)
      assert.strictEqual(run.report.files.uploaded, 400)
      assert.isAtMost(server.during(window).filter(([, request]) => request.startsWith("put")).length, 8)
    }))

  it.effect("shows in the progress while it lasts", () =>
    Effect.gen(function*() {
      const server = awayDuring([[1_005, 20_000]])
      const seen: Array<Progress.Progress> = []
      const run = yield* upload(server.destination, files(3_000), {
        steer: ({ progress }) => Stream.runForEach(progress, (now) => Effect.sync(() => seen.push(now)))
      })
      assert.strictEqual(run.report.files.failed, 0)
      const since = seen.map(({ awaySince }) => awaySince)
      const lasting = since.filter((at) => at !== undefined)
      assert.isAbove(lasting.length, 180)
      assert.lengthOf(new Set(lasting), 1)
      assert.isUndefined(since.at(-1))
    }))

  it.effect("that recurs before anything is answered is waited for as well", () =>
    Effect.gen(function*() {
      const { destination, objects } = awayDuring([[105_000, 130_000], [140_000, 300_000]], { puts: 20_000 })
      const run = yield* upload(destination, files(100))
      assert.deepStrictEqual([run.report.files.uploaded, objects.size], [100, 100])
      assert.deepStrictEqual(changes(run).map(([, state]) => state), ["Away", "Back", "Away", "Back"])
    }))

  it.effect("that lasts for longer than it is waited for ends the run, soon after", () =>
    Effect.gen(function*() {
      const server = awayDuring([[1_005, Infinity]])
      const run = yield* upload(server.destination, files(3_030), { retry: RetryPolicy.make({ outage: "1 minute" }) })
      assert.deepStrictEqual(changes(run).map(([, state]) => state), ["Away", "GivenUp"])
      assert.isAtLeast(run.millis, 61_000)
      assert.isAtMost(run.millis, 61_000 + 30_000)
      assert.isAbove(run.report.files.uploaded, 700)
      assert.strictEqual(run.report.files.uploaded + run.report.files.failed, 3_030)
      for (const result of run.results) if (result._tag === "Failed") assert.strictEqual(result.error._tag, "Transient")
    }))

  it.effect("keeps no run from being interrupted or drained", () =>
    Effect.gen(function*() {
      for (const how of ["interrupt", "drain"] as const) {
        const server = awayDuring([[1_005, Infinity]])
        const run = yield* upload(server.destination, files(3_030), {
          retry: RetryPolicy.make({ outage: "1 minute" }),
          steer: (run) => Effect.zipRight(Effect.sleep(10_000), run[how])
        })
        // Uploads in flight when the run is drained finish when the outage ends.
        if (how === "interrupt") assert.strictEqual(run.millis, 10_000)
        else assert.isAtMost(run.millis, 90_000)
        assert.strictEqual(run.held, 0)
      }
    }))

  it.effect("of a large file costs the parts that were in flight", () =>
    Effect.gen(function*() {
      const { destination, requests } = partsAwayDuring([[55, 20_000]])
      const run = yield* upload(
        destination,
        [UploadFile.make("film", ByteSource.generate(1_000))],
        { multipartThreshold: 10, partSize: 10, strategy: Strategy.workerPool({ workers: 4 }) }
      )
      assert.deepStrictEqual([run.report.files.uploaded, run.report.files.failed], [1, 0])
      assert.isAtMost(requests.filter((request) => request === "part").length, 100 + 8)
      assert.deepStrictEqual(changes(run).map(([, state]) => state), ["Away", "Back"])
    }))
})

describe("outages at any time", () => {
  for (let seed = 0; seed < 40; seed++) {
    it.effect(`of seed ${seed} cost no file, keep nothing, and never wait for one another`, () =>
      Effect.gen(function*() {
        const int = Random.nextIntBetween
        let from = 50
        const windows: Array<Window> = []
        for (let i = yield* int(1, 5); i > 0; i--) {
          const start = from + (yield* int(0, 400))
          from = start + (yield* int(1, 20_000))
          windows.push([start, from])
        }
        const { destination, objects, requests } = partsAwayDuring(windows)
        const sizes = yield* Effect.replicateEffect(int(0, 300), yield* int(5, 60))
        const list = sizes.map((size, i) => UploadFile.make(`f${i}`, ByteSource.generate(size)))
        const run = yield* upload(destination, list, {
          strategy: Strategy.stack(
            Strategy.workerPool({ workers: yield* int(1, 12) }),
            (yield* Random.nextBoolean) ? Strategy.unlimited : Strategy.rateLimited({ uploadsPerSecond: 50 })
          ),
          memory: yield* int(100, 1_000),
          multipartThreshold: 50,
          partSize: 20,
          checksum: "none"
        })
        assert.deepStrictEqual([run.report.files.uploaded, run.report.files.failed], [list.length, 0])
        assert.strictEqual(run.held, 0)
        for (const [i, size] of sizes.entries()) assert.lengthOf(objects.get(`f${i}`)!, size)
        assert.isAbove(requests.length, 0)
      }).pipe(Effect.withRandom(Random.make(`outages ${seed}`))))
  }
})

describe("no outage", () => {
  it.effect("is a destination that was never reached: it fails fast", () =>
    Effect.gen(function*() {
      const server = awayDuring([[0, Infinity]])
      const run = yield* upload(server.destination, files(300))
      assert.strictEqual(run.report.files.failed, 300)
      assert.deepStrictEqual(changes(run), [])
      assert.isAtMost(run.millis, 15_000)
      assert.isAtMost(server.requests.length, 300 + 100)
      assert.isFalse(server.requests.some(([, request]) => request.startsWith("head")))
    }))

  it.effect("are files that fail by themselves, of a destination that answers: each has its attempts, and no more", () =>
    Effect.gen(function*() {
      const server = awayDuring([], { fails: (key) => /f29\d/.test(key) ? away : undefined })
      const run = yield* upload(server.destination, files(300), { retry: RetryPolicy.make({ secondRound: false }) })
      assert.deepStrictEqual([run.report.files.uploaded, run.report.files.failed], [290, 10])
      for (const result of run.results) if (result._tag === "Failed") assert.strictEqual(result.attempts, 5)
      assert.deepStrictEqual(changes(run), [])
      assert.isAtMost(run.millis, 10_000)
    }))

  it.effect("does not include a destination that answers, whatever it says", () =>
    Effect.gen(function*() {
      const no = new UploadError.Rejected({ reason: "Forbidden", detail: "No." })
      const server = awayDuring([], { fails: (key) => key === "f0" ? undefined : no })
      const run = yield* upload(server.destination, files(30))
      assert.deepStrictEqual([run.report.files.uploaded, run.report.files.failed], [1, 29])
      assert.isFalse(server.requests.some(([, request]) => request.startsWith("head")))
    }))

  it.effect("is a server that answers looks now and then, and no upload, in the end: its files fail", () =>
    Effect.gen(function*() {
      let looks = 0
      const puts: Array<string> = []
      const destination = Destination.Destination.of({
        name: "moody:",
        capabilities: { maxPutSize: Infinity, unknownSize: true },
        put: ({ key }) =>
          Effect.suspend(() => {
            puts.push(key)
            return Effect.delay(puts.length <= 8 ? Effect.succeed({}) : Effect.fail(away), 10)
          }),
        head: () =>
          Effect.suspend(() => {
            looks += 1
            return Effect.delay(looks % 2 === 1 ? Effect.fail(away) : Effect.succeedNone, 10)
          })
      })
      const list = Array.from({ length: 30 }, (_, i) => UploadFile.make(`f${i}`, ByteSource.generate(0)))
      const run = yield* upload(destination, list, { retry: RetryPolicy.make({ attempts: 3, secondRound: false }) })
      assert.deepStrictEqual([run.report.files.uploaded, run.report.files.failed], [8, 22])
      // It is waited for as often as it says that it is there, and in all for no longer than one that is away.
      assert.strictEqual(changes(run).at(-1)?.[1], "GivenUp")
      assert.isAtMost(run.millis, 400_000)
      assert.isAtMost(puts.length, 2_000)
    }))

  it.effect("is not waited for if that is off, or if nothing can be looked up", () =>
    Effect.gen(function*() {
      const policies = [
        [awayDuring([[1_005, Infinity]]), RetryPolicy.make({ outage: 0 })],
        [awayDuring([[1_005, Infinity]]), RetryPolicy.none],
        [awayDuring([[1_005, Infinity]], { looks: "none" }), RetryPolicy.make()]
      ] as const
      for (const [{ destination }, retry] of policies) {
        const run = yield* upload(destination, files(1_000), { retry })
        assert.isAbove(run.report.files.failed, 100)
        assert.deepStrictEqual(changes(run), [])
        assert.isAtMost(run.millis, 20_000)
      }
    }))
})
