/**
 * Callbacks are foreign code: whatever they do, limits hold, results are told once, and nothing is left behind.
 */
import { assert, describe, it } from "@effect/vitest"
import { Destination, RetryPolicy, Strategy, Uploader, UploadError, UploadFile } from "@sluice/core"
import type { UploadEvent, UploadRun } from "@sluice/core"
import { Cause, Clock, Context, Effect, Exit, Fiber, Option, Queue, Stream } from "effect"
import * as LargeRun from "../support/LargeRun.js"
import * as PartsRecording from "../support/PartsRecording.js"
import * as Recording from "../support/Recording.js"

const options = { strategy: Strategy.workerPool({ workers: 1 }), retry: RetryPolicy.make({ jitter: "none" }) }

const broken = new UploadError.Transient({ reason: "Connection", detail: "The connection broke." })

const text = (key: string) => UploadFile.fromText(key, "hello")

const messageOf = <A, E>(exit: Exit.Exit<A, E>): string =>
  Exit.isSuccess(exit) ? "success" : Cause.pretty(exit.cause).split("\n", 1)[0]!

const throwing = (at: string): Pick<UploadRun.Options, "onEvent"> => ({
  onEvent: (event) => {
    if (event._tag === at) throw new Error(`thrown at ${at}`)
    return Effect.void
  }
})

describe("a callback that throws", () => {
  for (const at of ["UploadStarted", "UploadFinished"]) {
    it.effect(`gives back what the upload held: at ${at}`, () =>
      Effect.gen(function*() {
        const { value } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(Recording.make(), options)
          const single = yield* Effect.exit(uploader.upload(text("a"), throwing(at)))
          const run = yield* Effect.exit(uploader.uploadAll([text("b")], throwing(at)))
          const inUse = yield* uploader.limits.inUse
          const next = yield* uploader.upload(text("c"))
          return [messageOf(single), messageOf(run), inUse, next._tag]
        }))
        const message = `Error: thrown at ${at}`
        assert.deepStrictEqual(value, [message, message, 0, "Uploaded"])
      }))
  }

  it.effect("at a change of the limits ends the run, not who changes them", () =>
    Effect.gen(function*() {
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(100)), options)
        const run = yield* uploader.start([text("a")], throwing("LimitsChanged"))
        yield* Effect.sleep(10)
        const set = yield* Effect.exit(uploader.limits.set({ concurrency: 3 }))
        return [messageOf(set), messageOf(yield* Effect.exit(run.report))]
      }))
      assert.deepStrictEqual(value, ["success", "Error: thrown at LimitsChanged"])
    }))
})

describe("a callback that interrupts itself", () => {
  for (const workers of [1, 8, 100]) {
    it.effect(`ends the run with a defect that says so, and loses no file silently: ${workers} workers`, () =>
      Effect.gen(function*() {
        const { value } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(10)), {
            ...options,
            strategy: Strategy.workerPool({ workers })
          })
          const queue = yield* Queue.unbounded<string>()
          yield* Queue.shutdown(queue)
          let results = 0
          const exit = yield* Effect.exit(
            uploader.uploadAll(Array.from({ length: 300 }, (_, i) => text(`f${i}`)), {
              onResult: ({ file }) => ++results % 7 === 0 ? Effect.asVoid(Queue.offer(queue, file.key)) : Effect.void
            })
          )
          return [messageOf(exit), yield* uploader.limits.inUse]
        }))
        assert.deepStrictEqual(value, ["Error: The effect of onResult interrupted itself.", 0])
      }))
  }
})

describe("what is told while nobody waits", () => {
  it.effect("ends before the scope of the run", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(100)), options)
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* uploader.start([text("a")], {
            onEvent: (event) =>
              event._tag === "LimitsChanged"
                ? Effect.ensuring(Effect.sleep("1 hour"), Effect.sync(() => log.push("callback ended")))
                : Effect.void
          })
          yield* Effect.sleep(10)
          yield* uploader.limits.set({ concurrency: 3 })
          yield* run.report
        }))
        log.push("scope closed")
        yield* Effect.sleep("2 hours")
      }))
      assert.deepStrictEqual(log, ["callback ended", "scope closed"])
    }))

  it.effect("ends the run with its defect", () =>
    Effect.gen(function*() {
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(100)), options)
        const run = yield* uploader.start([text("a")], {
          onEvent: (event) => event._tag === "LimitsChanged" ? Effect.die("boom") : Effect.void
        })
        yield* Effect.sleep(10)
        yield* uploader.limits.set({ concurrency: 3 })
        return messageOf(yield* Effect.exit(run.report))
      }))
      assert.strictEqual(value, "Error: boom")
    }))
})

describe("a reader of results that is slow and interrupts the run", () => {
  for (const at of [2, 3, 10]) {
    it.effect(`reads none of them twice: at result ${at}`, () =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(Recording.make(), {
            ...options,
            strategy: Strategy.workerPool({ workers: 100 })
          })
          const run = yield* uploader.start(Array.from({ length: 2_000 }, (_, i) => text(`f${i}`)), { paused: true })
          const reader = yield* Effect.fork(Stream.runForEach(run.results, ({ file }) =>
            Effect.suspend(() => {
              seen.push(file.key)
              return seen.length === 1 ? Effect.sleep("1 second") : seen.length === at ? run.interrupt : Effect.void
            })))
          yield* run.resume
          yield* run.report
          yield* Fiber.join(reader)
        }))
        assert.isAbove(seen.length, 200)
        assert.strictEqual(new Set(seen).size, seen.length)
      }))
  }
})

describe("a driver whose cleanup dies", () => {
  const dying = Effect.onInterrupt(Effect.never, () => Effect.die(new Error("cleanup")))

  it.effect("keeps an interrupted run from no result", () =>
    Effect.gen(function*() {
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const recording = Recording.make(({ body, key }) => key === "a" ? dying : body.bytes)
        const uploader = yield* Recording.uploader(recording, {
          ...options,
          strategy: Strategy.workerPool({ workers: 2 })
        })
        const results: Array<string> = []
        const run = yield* uploader.start([text("a"), text("b")], {
          onResult: (result) => Effect.sync(() => results.push(Recording.summary(result)))
        })
        yield* Effect.sleep(100)
        yield* run.interrupt
        const { ended } = yield* run.report
        return [ended, results.sort()]
      }))
      assert.deepStrictEqual(value, ["Interrupted", ["Interrupted a", "Uploaded b"]])
    }))

  it.effect("fails its stalled attempt as stalled, which is retried", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body }) => attempt === 1 ? dying : body.bytes)
      const { report } = yield* Recording.uploadAll(recording, [text("a")], options)
      assert.strictEqual(report.files.uploaded, 1)
      assert.deepStrictEqual(recording.starts, [0, 30_100])
    }))
})

class Database extends Context.Tag("Database")<Database, { readonly rows: Array<string> }>() {}

describe("a callback that fails", () => {
  for (const callback of ["onResult", "onEvent"] as const) {
    it.effect(`ends the run with its error, and starts no further file: ${callback}`, () =>
      Effect.gen(function*() {
        const recording = Recording.make(Recording.takeAfter(10))
        const { value } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(recording, options)
          let told = 0
          const fails = () => Effect.suspend(() => ++told === 4 ? Effect.fail("no database" as const) : Effect.void)
          const exit: Exit.Exit<unknown, unknown> = yield* Effect.exit(
            uploader.uploadAll(["a", "b", "c", "d", "e", "f", "g"].map(text), { [callback]: fails })
          )
          return { exit, inUse: yield* uploader.limits.inUse }
        }))
        assert.deepStrictEqual(value, { exit: Exit.fail("no database"), inUse: 0 })
        assert.isBelow(recording.starts.length, 6)
      }))
  }

  it.effect("of a single upload is what the upload fails with", () =>
    Effect.gen(function*() {
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(), options)
        const exit: Exit.Exit<unknown, UploadError.UploadError | string> = yield* Effect.exit(
          uploader.upload(text("a"), { onEvent: () => Effect.fail("no database" as const) })
        )
        return [exit, yield* uploader.limits.inUse] as const
      }))
      assert.deepStrictEqual(value, [Exit.fail("no database"), 0])
    }))

  it.effect("when the run is paused ends the run, not who pauses it", () =>
    Effect.gen(function*() {
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(100)), options)
        const run = yield* uploader.start([text("a")], {
          onEvent: ({ _tag }) => _tag === "RunChanged" ? Effect.fail("told") : Effect.void
        })
        yield* Effect.sleep(10)
        return [yield* Effect.exit(run.pause), yield* Effect.exit(run.report)] as const
      }))
      assert.deepStrictEqual(value, [Exit.void, Exit.fail("told")])
    }))
})

describe("a callback with services", () => {
  it.effect("has those of whoever starts the run, whoever steers it", () =>
    Effect.gen(function*() {
      const rows: Array<string> = []
      const insert = (row: string) => Effect.flatMap(Database, ({ rows }) => Effect.sync(() => rows.push(row)))
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(10)), options)
        const run = yield* uploader.start([text("a"), text("b")], {
          onResult: (result) => insert(Recording.summary(result)),
          onEvent: ({ _tag }) => _tag === "RunChanged" || _tag === "LimitsChanged" ? insert(_tag) : Effect.void
        }).pipe(Effect.provideService(Database, { rows }))
        yield* run.pause
        yield* uploader.limits.set({ concurrency: 2 })
        yield* run.resume
        yield* run.report
        yield* uploader.upload(text("c"), { onEvent: ({ _tag }) => insert(_tag) }).pipe(
          Effect.provideService(Database, { rows })
        )
        return rows
      }))
      assert.deepStrictEqual(value.toSorted(), [
        "LimitsChanged",
        "RunChanged",
        "RunChanged",
        "UploadFinished",
        "UploadStarted",
        "Uploaded a",
        "Uploaded b"
      ])
    }))
})

describe("a callback that never ends", () => {
  for (const callback of ["onResult", "onEvent"] as const) {
    it.effect(`is interrupted with the run: ${callback}`, () =>
      Effect.gen(function*() {
        const { value, millis } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(Recording.make(Recording.takeAfter(10)), {
            ...options,
            strategy: Strategy.workerPool({ workers: 3 })
          })
          const ended = yield* uploader.uploadAll(["a", "b", "c", "d"].map(text), { [callback]: () => Effect.never })
            .pipe(
              Effect.timeoutOption("1 second")
            )
          return [Option.isNone(ended), yield* uploader.limits.inUse] as const
        }))
        assert.deepStrictEqual(value, [true, 0])
        // Those for the results of interrupted files begin after the interruption, and have a second.
        assert.isAtMost(millis, 3_000)
      }))
  }

  it.effect("is told of files that were interrupted", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(Recording.make(() => Effect.never), {
          ...options,
          strategy: Strategy.workerPool({ workers: 3 })
        })
        const run = yield* uploader.start(["a", "b", "c", "d"].map(text), {
          onResult: (result) => Effect.sync(() => told.push(Recording.summary(result))).pipe(Effect.delay("100 millis"))
        })
        yield* Effect.sleep(10)
        yield* run.interrupt
        return (yield* run.report).files.interrupted
      }))
      assert.deepStrictEqual([value, told.toSorted()], [3, ["Interrupted a", "Interrupted b", "Interrupted c"]])
    }))
})

describe("a callback far from the workers of its run", () => {
  it.effect("the callback of a part that fails ends the run with its error, and is no failure of the destination", () =>
    Effect.gen(function*() {
      const recording = PartsRecording.make({
        fault: ({ attempt, number, verb }) =>
          verb === "part" && number === 2 && attempt === 1 ? PartsRecording.refused() : undefined
      })
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Effect.provideService(
          Uploader.make({ ...options, multipartThreshold: 10, partSize: 10 }),
          Destination.Destination,
          recording.destination
        )
        const onEvent = ({ _tag }: UploadEvent.UploadEvent) =>
          _tag === "UploadRetrying" ? Effect.fail("no database") : Effect.void
        const large = LargeRun.inMemory("a", 35)
        return [
          yield* Effect.exit(uploader.uploadAll([large], { onEvent })),
          yield* Effect.exit(uploader.upload(LargeRun.inMemory("b", 35), { onEvent })),
          yield* uploader.limits.inUse
        ] as const
      }))
      assert.deepStrictEqual(value, [Exit.fail("no database"), Exit.fail("no database"), 0])
    }))

  it.effect("results of deferred files are told briefly after an interruption, and all of them", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(
          Recording.make(({ key }) => key === "hang" ? Effect.never : Effect.fail(broken)),
          { strategy: Strategy.workerPool({ workers: 1 }), retry: RetryPolicy.make({ attempts: 1 }) }
        )
        const run = yield* uploader.start([...["a", "b", "c"].map(text), text("hang")], {
          onResult: (result) =>
            Effect.zipRight(Effect.sync(() => told.push(Recording.summary(result))), Effect.sleep("1 minute"))
        })
        yield* Effect.sleep(100)
        const before = yield* Clock.currentTimeMillis
        yield* run.interrupt
        return (yield* Clock.currentTimeMillis) - before
      }))
      assert.deepStrictEqual([value, told], [4_000, ["Interrupted hang", "Failed a", "Failed b", "Failed c"]])
    }))

  for (const count of [255, 256, 257, 300]) {
    it.effect(`a stream that is left when its last results have not been read holds nobody up: ${count}`, () =>
      Effect.gen(function*() {
        const { millis } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(Recording.make(), options)
          const stream = uploader.stream(Array.from({ length: count }, (_, i) => text(`f${i}`)))
          yield* Stream.runDrain(Stream.take(Stream.tap(stream, () => Effect.sleep("1 second")), 1))
        }))
        assert.strictEqual(millis, 1_000)
      }))
  }
})
