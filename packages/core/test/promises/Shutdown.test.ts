/**
 * A program that uploads can always end: wherever its uploads were started, and whatever foreign code they wait for.
 */
import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Destination, Journal, Strategy, Transport, UploadFile } from "@sluice/core"
import type { Uploader, UploadList, UploadRun } from "@sluice/core"
import * as Tus from "@sluice/core/destinations/Tus"
import { Effect, Exit, Fiber, Layer, Scope, Stream, TestClock } from "effect"
import * as Recording from "../support/Recording.js"

const file = UploadFile.fromText("log", "the last words")

const files = (...keys: ReadonlyArray<string>) => keys.map((key) => UploadFile.fromText(key, key))

/** Gives its items, and then neither another nor its end. */
async function* quietAfter<A>(...items: ReadonlyArray<A>) {
  yield* items
  await new Promise(() => {})
}

/**
 * Lets everything happen that can without the clock being moved: promises, which virtual time knows nothing of, too.
 */
const settled = Effect.repeatN(Effect.promise(() => new Promise((resume) => setImmediate(resume))), 4)

/** How many milliseconds the test clock has to be moved, in steps of 100, until an effect has ended. */
const millisOf = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<number, never> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkDaemon(effect)
    for (let millis = 0; millis <= 5_000; millis += 100) {
      yield* settled
      if ((yield* fiber.poll)._tag === "Some") return millis
      yield* TestClock.adjust(100)
    }
    return Infinity
  })

describe("an upload in an uninterruptible region", () => {
  const verbs: Record<string, (uploader: Uploader.Uploader["Type"]) => Effect.Effect<unknown, unknown>> = {
    upload: (uploader) => uploader.upload(file),
    uploadAll: (uploader) => uploader.uploadAll([file]),
    "uploadAll of a Stream": (uploader) => uploader.uploadAll(Stream.make(file)),
    start: (uploader) => Effect.scoped(Effect.flatMap(uploader.start([file]), (run) => run.report))
  }
  const places: Record<string, (upload: Effect.Effect<unknown>) => Effect.Effect<unknown>> = {
    "a finalizer of a scope": (upload) => Effect.scoped(Effect.addFinalizer(() => upload)),
    "`ensuring`": (upload) => Effect.ensuring(Effect.void, upload),
    "the release of `acquireRelease`": (upload) => Effect.scoped(Effect.acquireRelease(Effect.void, () => upload)),
    "the acquisition of `acquireRelease`": (upload) => Effect.scoped(Effect.acquireRelease(upload, () => Effect.void)),
    "`onInterrupt`": (upload) =>
      Effect.flatMap(
        Effect.fork(Effect.onInterrupt(Effect.never, () => upload)),
        (fiber) => Effect.zipRight(Effect.yieldNow(), Fiber.interrupt(fiber))
      )
  }
  for (const [place, inPlace] of Object.entries(places)) {
    for (const [verb, upload] of Object.entries(verbs)) {
      it.effect(`goes on to its end: ${verb} in ${place}`, () =>
        Effect.gen(function*() {
          const recording = Recording.make(Recording.takeAfter(10))
          const { millis } = yield* Recording.virtual(
            Effect.flatMap(Recording.uploader(recording), (uploader) => inPlace(Effect.orDie(upload(uploader))))
          )
          assert.deepStrictEqual(recording.history, [[0, "put log"], [10, "stored log"]])
          assert.strictEqual(millis, 10)
        }))
    }
  }

  it.effect("ends when an attempt stalls there", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body }) => attempt === 1 ? Effect.never : body.bytes)
      const { millis } = yield* Recording.virtual(
        Effect.flatMap(
          Recording.uploader(recording),
          (uploader) => Effect.uninterruptible(uploader.uploadAll([file], { stallTimeout: "5 seconds" }))
        )
      )
      assert.deepStrictEqual(recording.history.map(([, event]) => event), [
        "put log",
        "interrupted log",
        "put log",
        "stored log"
      ])
      assert.isAtLeast(millis, 5_000)
    }))

  for (const callback of ["onResult", "onEvent"] as const) {
    it.effect(`goes on to its end from ${callback} of another run`, () =>
      Effect.gen(function*() {
        const recording = Recording.make(Recording.takeAfter(10))
        const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
          const uploader = yield* Recording.uploader(recording, { strategy: Strategy.workerPool({ workers: 1 }) })
          let told = false
          const once = Effect.suspend(() => {
            if (told) return Effect.void
            told = true
            return Effect.orDie(uploader.upload(file))
          })
          const options: UploadRun.Options = callback === "onResult"
            ? { onResult: () => once }
            : { onEvent: (event) => event._tag === "UploadFinished" ? once : Effect.void }
          return yield* uploader.uploadAll(files("a", "b"), options)
        }))
        assert.strictEqual(value.files.uploaded, 2)
        assert.sameMembers(Array.from(recording.objects.keys()), ["a", "b", "log"])
        assert.strictEqual(millis, 30)
      }))
  }

  it.effect("allows its uploader to be created there: what it started ends with its scope", () =>
    Effect.gen(function*() {
      for (const strategy of [Strategy.adaptive(), Strategy.adaptiveRate({ base: 10 })]) {
        const recording = Recording.make(Recording.takeAfter(10))
        const { value } = yield* Recording.virtual(Effect.gen(function*() {
          const scope = yield* Scope.make()
          const uploader = yield* Effect.uninterruptible(
            Scope.extend(Recording.uploader(recording, { strategy }), scope)
          )
          const { files } = yield* uploader.uploadAll([file])
          yield* Scope.close(scope, Exit.void)
          return files.uploaded
        }))
        assert.strictEqual(value, 1, strategy.name)
      }
    }))
})

describe("a server that does not answer", () => {
  const silent = Layer.succeed(Transport.Transport, { send: () => Effect.never, open: () => Effect.never })

  it.effect("delays the creation of a destination in a finalizer no longer than elsewhere", () =>
    Effect.gen(function*() {
      const made = Effect.asVoid(Effect.provide(Tus.make({ url: "https://host/files/" }), silent))
      const { millis } = yield* Recording.virtual(Effect.scoped(Effect.addFinalizer(() => made)))
      assert.strictEqual(millis, (yield* Recording.virtual(made)).millis)
      assert.strictEqual(millis, 10_000)
    }))

  it.effect("delays a lookup in a finalizer no longer than elsewhere", () =>
    Effect.gen(function*() {
      const client = HttpClient.make(() => Effect.never)
      const look = Effect.flatMap(Transport.Transport, ({ open }) =>
        Effect.flip(Effect.scoped(open({ method: "GET", url: "https://host/", headers: {} })))).pipe(
          Effect.provide(Layer.provide(Transport.layerHttpClient, Layer.succeed(HttpClient.HttpClient, client)))
        )
      const { millis } = yield* Recording.virtual(Effect.scoped(Effect.addFinalizer(() =>
        Effect.orDie(look)
      )))
      assert.strictEqual(millis, 60_000)
    }))
})

describe("a list that says nothing more", () => {
  const lists: Record<string, () => UploadList.UploadList> = {
    "an async generator": () => quietAfter(file),
    "an async iterable whose `return` never answers": () => ({
      [Symbol.asyncIterator]: () => {
        const iterator = quietAfter(file)
        return { next: () => iterator.next(), return: () => new Promise(() => {}) }
      }
    }),
    "an async iterable whose `return` throws": () => ({
      [Symbol.asyncIterator]: () => {
        const iterator = quietAfter(file)
        return {
          next: () => iterator.next(),
          return: () => {
            throw new Error("no return")
          }
        }
      }
    }),
    "an async iterable without `return`": () => ({
      [Symbol.asyncIterator]: () => {
        const iterator = quietAfter(file)
        return { next: () => iterator.next() }
      }
    })
  }
  const foreign: Record<string, () => UploadList.UploadList> = {
    "a Stream of an async generator": () => Stream.orDie(Stream.fromAsyncIterable(quietAfter(file), (cause) => cause)),
    "a Stream whose finalizer never ends": () =>
      Stream.ensuring(Stream.concat(Stream.make(file), Stream.never), Effect.never)
  }
  const ways: Record<string, (run: UploadRun.UploadRun) => Effect.Effect<unknown>> = {
    drain: (run) => Effect.zipRight(run.drain, run.report),
    interrupt: (run) => Effect.zipRight(run.interrupt, run.report),
    "a timeout": (run) => Effect.timeoutOption(run.report, 0)
  }
  for (const [what, list] of [...Object.entries(lists), ...Object.entries(foreign)]) {
    for (const [how, end] of Object.entries(ways)) {
      it.scoped(`does not keep a run from ending: ${how}, ${what}`, () =>
        Effect.gen(function*() {
          const recording = Recording.make()
          const uploader = yield* Recording.uploader(recording)
          const scope = yield* Scope.make()
          const run = yield* Scope.extend(uploader.start(list()), scope)
          yield* settled
          const millis = [yield* millisOf(end(run)), yield* millisOf(Scope.close(scope, Exit.void))]
          assert.deepStrictEqual(recording.history.map(([, event]) => event), ["put log", "stored log"])
          // What can be let go of is, at once; a Stream's own finalizers have a second, and only once.
          const patience = what in lists ? 0 : 1_000
          assert.deepStrictEqual(millis, how === "a timeout" ? [0, patience] : [patience, 0])
        }))
    }
  }

  it.scoped("learns that the run has ended, if possible", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const list = async function*() {
        try {
          yield file
          yield UploadFile.fromText("second", "never taken")
        } finally {
          events.push("closed")
        }
      }
      const recording = Recording.make(Recording.takeAfter(1_000))
      const uploader = yield* Recording.uploader(recording, { strategy: Strategy.workerPool({ workers: 1 }) })
      const run = yield* uploader.start(list(), { lookahead: 1 })
      yield* settled
      yield* run.drain
      yield* settled
      yield* TestClock.adjust(1_000)
      const { ended } = yield* run.report
      assert.deepStrictEqual([ended, events], ["Drained", ["closed"]])
    }))

  it.effect("lets a whole upload be interrupted at once", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        return yield* Effect.timeoutOption(uploader.uploadAll(quietAfter(file)), 250)
      }))
      assert.deepStrictEqual([value._tag, millis], ["None", 250])
    }))
})

describe("an upload that is interrupted during the sweep for leftovers", () => {
  it.effect("leaves the sweep to the next", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const swept: Array<string> = []
      const destination = Destination.Destination.of({
        ...recording.destination,
        leftovers: {
          owner: "this",
          sweep: (owner) =>
            Effect.as(
              Effect.onExit(Effect.sleep(10), ({ _tag }) => Effect.sync(() => swept.push(`${owner} ${_tag}`))),
              0
            )
        }
      })
      yield* Recording.virtual(
        Effect.gen(function*() {
          yield* Effect.flatMap(Journal.Journal, (journal) => journal.own("other"))
          const uploader = yield* Recording.uploader({ ...recording, destination })
          yield* Effect.timeoutOption(uploader.upload(file), 5)
          yield* Effect.all([uploader.upload(file), uploader.uploadAll(files("a"))], { concurrency: 2 })
          yield* uploader.uploadAll(files("b"))
        }).pipe(Effect.provide(Journal.layerMemory))
      )
      assert.deepStrictEqual(swept, ["other Failure", "other Success"])
      assert.sameMembers(Array.from(recording.objects.keys()), ["log", "a", "b"])
    }))
})

describe("a callback that does not come back", () => {
  for (const callback of ["onResult", "onEvent"] as const) {
    for (
      const [how, never, most] of [["", Effect.never, 1_000], [
        ", uninterruptible",
        Effect.uninterruptible(Effect.never),
        121_000
      ]] as const
    ) {
      it.effect(`keeps nobody for ever who interrupts the run: ${callback}${how}`, () =>
        Effect.gen(function*() {
          const recording = Recording.make()
          const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
            const uploader = yield* Recording.uploader(recording)
            return yield* Effect.timeoutOption(uploader.uploadAll([file], { [callback]: () => never }), 1_000)
          }))
          assert.strictEqual(value._tag, "None")
          // An interruptible callback is interrupted at once; one that is not has two minutes, once files are under way.
          assert.strictEqual(millis, callback === "onEvent" ? 1_000 : most)
        }))
    }
  }
})
