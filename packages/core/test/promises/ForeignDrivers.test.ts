/**
 * A driver that somebody else wrote, perhaps without types, cannot end a run: what it gets wrong fails one file, by its
 * name.
 */
import { assert, describe, it } from "@effect/vitest"
import { ByteSource, Destination, Journal, Strategy, Uploader, UploadError, UploadFile } from "@sluice/core"
import type { RetryPolicy, UploadResult } from "@sluice/core"
import { Cause, Data, Effect, Exit, Fiber, Layer, Schedule, Stream } from "effect"
import * as LargeRun from "../support/LargeRun.js"
import * as PartsRecording from "../support/PartsRecording.js"
import * as Recording from "../support/Recording.js"

type Service = Journal.Journal["Type"]

class OwnError extends Data.Error<{ readonly message: string }> {}

type Verbs = Partial<Record<"put" | "create" | "uploadPart" | "listParts" | "complete" | "abort" | "head", unknown>>

/** A destination whose verbs are exchanged for the object `bad`, or the objects whose keys begin with it. */
const withVerbs = (verbs: Verbs): Destination.Destination["Type"] => {
  const { destination } = PartsRecording.make()
  const exchanged = (verb: keyof Verbs, own: unknown) => (request: string | { readonly key: string }) => {
    const key = typeof request === "string" ? request : request.key
    const call = key.startsWith("bad") && verb in verbs ? verbs[verb] : own
    return (call as (request: unknown) => unknown)(request)
  }
  const { multipart } = destination
  return {
    ...destination,
    put: exchanged("put", destination.put) as typeof destination.put,
    head: exchanged("head", destination.head) as NonNullable<typeof destination.head>,
    multipart: {
      ...multipart!,
      create: exchanged("create", multipart!.create) as Destination.Multipart["create"],
      uploadPart: exchanged("uploadPart", multipart!.uploadPart) as Destination.Multipart["uploadPart"],
      listParts: exchanged("listParts", multipart!.listParts) as Destination.Multipart["listParts"],
      complete: exchanged("complete", multipart!.complete) as Destination.Multipart["complete"],
      abort: exchanged("abort", multipart!.abort) as Destination.Multipart["abort"]
    }
  }
}

const files = (size: number) => ["a", "bad", "c"].map((key) => UploadFile.make(key, ByteSource.generate(size)))

const upload = (destination: Destination.Destination["Type"], size: number, options: Uploader.Options = {}) =>
  Recording.virtual(Effect.gen(function*() {
    const results: Array<UploadResult.UploadResult> = []
    const uploader = yield* Uploader.make({
      strategy: Strategy.workerPool({ workers: 2 }),
      multipartThreshold: 10,
      partSize: 10,
      ...options
    }).pipe(Effect.provideService(Destination.Destination, destination))
    const report = yield* uploader.uploadAll(files(size), {
      onResult: (result) => Effect.sync(() => results.push(result))
    })
    const bad = results.find(({ file }) => file.key === "bad")!
    assert(bad._tag === "Failed")
    const held = yield* uploader.limits.inUse
    return { error: bad.error, counts: [report.files.uploaded, report.files.failed], held }
  }))

/** What a verb may be, and is not allowed to. */
const answers: Record<string, unknown> = {
  "answers nothing": () => Effect.void,
  "answers null": () => Effect.succeed(null),
  "answers a number": () => Effect.succeed(7),
  "throws": () => {
    throw new Error("boom")
  },
  "dies": () => Effect.die("boom"),
  "gives no effect": () => undefined,
  "gives a Promise": () => Promise.resolve({}),
  "fails with nothing": () => Effect.fail(undefined),
  "fails with text": () => Effect.fail("boom"),
  "fails with an error of its own": () => Effect.fail(new OwnError({ message: "boom" })),
  "fails with a tag of its own": () => Effect.fail({ _tag: "Boom" })
}

describe("a driver", () => {
  for (const [what, verb] of Object.entries(answers)) {
    it.effect(`whose put ${what} fails that file alone`, () =>
      Effect.gen(function*() {
        const { value } = yield* upload(withVerbs({ put: verb }), 5)
        assert.deepStrictEqual([value.counts, value.held], [[2, 1], 0])
        assert.instanceOf(value.error, UploadError.Rejected)
        assert.strictEqual(value.error.reason, "Unexpected")
        assert.include(value.error.message, "driver")
      }))

    for (const name of ["create", "uploadPart", "complete"] as const) {
      it.effect(`whose ${name} ${what} fails that file alone`, () =>
        Effect.gen(function*() {
          const { value } = yield* upload(withVerbs({ [name]: verb }), 35)
          assert.deepStrictEqual([value.counts, value.held], [[2, 1], 0])
          assert.instanceOf(value.error, UploadError.Rejected)
          assert.strictEqual(value.error.reason, "Unexpected")
        }))
    }

    it.effect(`whose abort ${what} keeps nobody from failing for the true reason`, () =>
      Effect.gen(function*() {
        const reason = new UploadError.Rejected({ reason: "Forbidden", detail: "No." })
        const { value } = yield* upload(withVerbs({ abort: verb, uploadPart: () => Effect.fail(reason) }), 35)
        assert.deepStrictEqual([value.counts, value.held], [[2, 1], 0])
        assert.deepStrictEqual([value.error._tag, value.error.message], ["Rejected", "No."])
      }))

    it.effect(`whose head ${what} is not believed after a completion that was not answered`, () =>
      Effect.gen(function*() {
        const lost = new UploadError.Transient({ reason: "Connection", detail: "No answer." })
        const { value } = yield* upload(
          withVerbs({ head: verb, listParts: verb, complete: () => Effect.fail(lost) }),
          35
        )
        assert.deepStrictEqual([value.counts, value.held], [[2, 1], 0])
        assert.strictEqual(value.error._tag, "Transient")
      }))
  }

  it.effect("whose create returns no id fails only that file", () =>
    Effect.gen(function*() {
      for (const id of ["", {}, undefined]) {
        const { value } = yield* upload(withVerbs({ create: () => Effect.succeed(id) }), 35)
        assert.deepStrictEqual(value.counts, [2, 1])
        assert.strictEqual(value.error._tag, "Rejected")
      }
    }))
})

describe("a schedule of one's own", () => {
  it.effect("is not asked about failures that would come again", () =>
    Effect.gen(function*() {
      const retry: RetryPolicy.RetryPolicy = {
        attempts: 4,
        schedule: Schedule.spaced("1 second"),
        budget: undefined,
        secondRound: true
      }
      const rejected = new UploadError.Rejected({ reason: "Forbidden", detail: "No." })
      const transient = new UploadError.Transient({ reason: "Unavailable", detail: "Later." })
      const seen: Array<number> = []
      for (const error of [rejected, transient]) {
        const recording = Recording.make(() => Effect.fail(error))
        yield* Recording.uploadAll(recording, [UploadFile.fromText("a", "a")], { retry })
        seen.push(recording.starts.length)
      }
      assert.deepStrictEqual(seen, [1, 4])
    }))
})

describe("a source that can be read only once", () => {
  it.effect("says why it was given up, when it is uploaded again", () =>
    Effect.gen(function*() {
      const no = new UploadError.Conflict({ detail: "Somebody else was there." })
      const recording = Recording.make(({ body }) => Effect.zipRight(body.bytes, Effect.fail(no)))
      const { value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const file = UploadFile.make("a", ByteSource.fromStream(Stream.make(Uint8Array.of(1)), { size: 1 }))
        return yield* uploader.upload(file).pipe(Effect.retry({ times: 2 }), Effect.flip)
      }))
      assert.instanceOf(value, UploadError.SourceUnreadable)
      assert.strictEqual(value.reason, "Consumed")
      assert.strictEqual((value.cause as Error).message, no.message)
      assert.include(value.message, "Somebody else was there.")
    }))
})

describe("a callback that was written without types", () => {
  const run = (callbacks: object) => {
    const recording = Recording.make()
    return Effect.map(
      Recording.virtual(
        Effect.exit(
          Effect.flatMap(Recording.uploader(recording), (uploader) => uploader.uploadAll(files(5), callbacks))
        )
      ),
      ({ value }) => ({ exit: value })
    )
  }
  for (const name of ["onResult", "onEvent"]) {
    it.effect(`may answer nothing: ${name}`, () =>
      Effect.gen(function*() {
        let heard = 0
        const { exit } = yield* run({
          [name]: () => {
            heard += 1
          }
        })
        assert(Exit.isSuccess(exit))
        assert.strictEqual(exit.value.files.uploaded, 3)
        assert.isAtLeast(heard, 3)
      }))

    it.effect(`is named where it answers what is no Effect: ${name}`, () =>
      Effect.gen(function*() {
        const { exit } = yield* run({ [name]: () => "done" })
        assert(Exit.isFailure(exit))
        assert.include(Cause.pretty(exit.cause), `${name} has to give an Effect, not a string.`)
      }))
  }
})

describe("a journal of one's own", () => {
  const bad: Record<string, () => Effect.Effect<never>> = {
    "never answers": () => Effect.never,
    "never answers, and cannot be interrupted": () => Effect.uninterruptible(Effect.never),
    "dies": () => Effect.die("boom"),
    "interrupts itself": () => Effect.interrupt,
    "throws": () => {
      throw new Error("boom")
    }
  }
  const writes = ["begin", "created", "partStored", "flush", "ended", "finished", "runEnded", "own", "disown"] as const
  const verbs = [...writes, "session", "wasFinished"] as const
  /** Without these, a crash would leave an orphan: what the journal has not recorded must not be begun. */
  const needed: ReadonlyArray<string> = ["begin", "created", "partStored", "flush", "session"]
  for (const verb of verbs) {
    for (const [how, answer] of Object.entries(bad)) {
      it.effect(`holds up no upload for longer than its minutes: ${verb} ${how}`, () =>
        Effect.gen(function*() {
          const { destination } = PartsRecording.make()
          const { millis, value } = yield* Recording.virtual(
            Effect.gen(function*() {
              const journal = yield* Journal.Journal
              const uploader = yield* Uploader.make({ multipartThreshold: 10, partSize: 10 }).pipe(
                Effect.provideService(Destination.Destination, destination),
                Effect.provideService(Journal.Journal, {
                  ...journal,
                  [verb]: verb === "runEnded" || verb === "flush" ? Effect.suspend(answer) : answer
                })
              )
              return yield* uploader.uploadAll(files(25))
            }).pipe(Effect.provide(Layer.fresh(Journal.layerMemory)))
          )
          const fails = needed.includes(verb)
          assert.deepStrictEqual([value.files.uploaded, value.files.failed], fails ? [0, 3] : [3, 0])
          for (const { error } of value.failures) {
            const how = verb === "session" ? "read" : "written"
            assert.isTrue(error.message.startsWith(`The journal cannot be ${how}: The journal`), error.message)
          }
          assert.isAtMost(millis, 250_000)
        }))
    }
  }

  it.effect("may be an object of a class", () =>
    Effect.gen(function*() {
      const inner = yield* LargeRun.memoryJournal
      class Own {
        private readonly inner = inner
        session(key: string) {
          return this.inner.session(key)
        }
        get sessions() {
          return this.inner.sessions
        }
        begin(intent: Journal.Intent) {
          return this.inner.begin(intent)
        }
        created(key: string, uploadId: string) {
          return this.inner.created(key, uploadId)
        }
        partStored(...part: Parameters<Service["partStored"]>) {
          this.inner.partStored(...part)
        }
        get flush() {
          return this.inner.flush
        }
        ended(key: string) {
          this.inner.ended(key)
        }
        finished(file: Journal.Finished) {
          this.inner.finished(file)
        }
        wasFinished(file: Journal.Finished) {
          return this.inner.wasFinished(file)
        }
        get runEnded() {
          return this.inner.runEnded
        }
        get owners() {
          return this.inner.owners
        }
        own(owner: string) {
          return this.inner.own(owner)
        }
        disown(owner: string) {
          return this.inner.disown(owner)
        }
      }
      const { destination } = PartsRecording.make()
      const { value } = yield* Recording.virtual(
        Effect.flatMap(Uploader.make({ multipartThreshold: 10, partSize: 10 }), (uploader) =>
          uploader.uploadAll(files(25)))
          .pipe(
            Effect.provideService(Destination.Destination, destination),
            Effect.provideService(Journal.Journal, new Own())
          )
      )
      assert.strictEqual(value.files.uploaded, 3)
    }))

  it.effect("records an upload whose creation it notes slowly, and that is interrupted in the meantime", () =>
    Effect.gen(function*() {
      const inner = yield* LargeRun.memoryJournal
      const slow: Service = {
        ...inner,
        created: (key, uploadId) => Effect.delay(inner.created(key, uploadId), 100)
      }
      const recording = PartsRecording.make()
      yield* Recording.virtual(
        Effect.gen(function*() {
          const uploader = yield* Uploader.make({ multipartThreshold: 10, partSize: 10 })
          const fiber = yield* Effect.fork(
            uploader.uploadAll([LargeRun.onDisk("film", 100)], { onInterrupt: "keep" })
          )
          yield* Effect.sleep(50)
          yield* Fiber.interrupt(fiber)
        }).pipe(
          Effect.provideService(Destination.Destination, recording.destination),
          Effect.provideService(Journal.Journal, slow)
        )
      )
      const known = (yield* inner.sessions).map(({ uploadId }) => uploadId)
      assert.deepStrictEqual(known, [...recording.sessions.keys()])
      assert.lengthOf(known, 1)
    }))
})
