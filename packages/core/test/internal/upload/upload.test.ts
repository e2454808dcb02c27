import { assert, describe, it } from "@effect/vitest"
import { ByteSource, RetryPolicy, Strategy, UploadError, UploadFile, UploadResult } from "@sluice/core"
import { Clock, Deferred, Duration, Effect, Random, Stream } from "effect"
import * as Recording from "../../support/Recording.js"

const broken = new UploadError.Transient({ reason: "Connection", detail: "The connection broke." })

const file = UploadFile.fromText("a", "hello")

const bytes = (...values: Array<number>) => Uint8Array.from(values)

/** The only failure of a run, in a few words. */
const failure = ({ report, results }: Recording.Run): string => {
  assert.strictEqual(report.files.failed, 1)
  const [result] = results.filter(UploadResult.isFailed)
  const error = result!.error
  return "reason" in error ? `${error._tag} ${error.reason}` : error._tag
}

/** A source of five bytes whose fingerprint is read from a list, the last one again and again. */
const fingerprinted = (...fingerprints: Array<string>): ByteSource.ByteSource => {
  let reads = 0
  return {
    ...ByteSource.fromText("hello"),
    fingerprint: Effect.sync(() => fingerprints[Math.min(reads++, fingerprints.length - 1)]!)
  }
}

/** Blocks that each take a while to come. */
const slowly = (millis: number, blocks: number, size = 5): Stream.Stream<Uint8Array> =>
  Stream.repeatEffect(Effect.as(Effect.sleep(millis), new Uint8Array(size))).pipe(Stream.take(blocks))

describe("an upload", () => {
  it.effect("puts the file's bytes and details under its key", () =>
    Effect.gen(function*() {
      const puts: Array<Omit<Recording.Put, "body">> = []
      const recording = Recording.make(({ body, ...put }) => {
        puts.push(put)
        return Effect.zipRight(Effect.sleep(25), body.bytes)
      })
      const details = { contentType: "text/plain", metadata: { owner: "me" }, modifiedAt: 1_700_000_000_000 }
      const one = UploadFile.fromText("notes/a.txt", "hello", details)
      const { report, results } = yield* Recording.uploadAll(recording, [one])
      assert.deepStrictEqual(puts, [{ key: "notes/a.txt", ...details, attempt: 1 }])
      assert.deepStrictEqual(recording.objects, new Map([["notes/a.txt", new TextEncoder().encode("hello")]]))
      assert.deepStrictEqual(results, [{
        _tag: "Uploaded",
        file: one,
        attempts: 1,
        bytes: 5,
        resumedBytes: 0,
        duration: Duration.millis(25),
        etag: undefined,
        checksum: undefined
      }])
      assert.strictEqual(report.files.uploaded, 1)
    }))

  it.effect("hands the destination's tag on", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const { put } = recording.destination
      const tagging = {
        ...recording,
        destination: {
          ...recording.destination,
          put: (request: Parameters<typeof put>[0]) => Effect.as(put(request), { etag: "\"abc\"" })
        }
      }
      const { results } = yield* Recording.uploadAll(tagging, [file])
      assert.deepStrictEqual(results.map((result) => result._tag === "Uploaded" && result.etag), ["\"abc\""])
    }))

  it.effect("of nothing is an upload of zero bytes", () =>
    Effect.gen(function*() {
      for (const respond of [Recording.takeAll, Recording.takeStream]) {
        const recording = Recording.make(respond)
        const { report, results } = yield* Recording.uploadAll(recording, [UploadFile.fromText("empty", "")])
        assert.deepStrictEqual(recording.objects, new Map([["empty", bytes()]]))
        assert.deepStrictEqual(results.map((result) => result._tag === "Uploaded" && result.bytes), [0])
        assert.deepStrictEqual(report.bytes, { total: 0, uploaded: 0, resumed: 0 })
      }
    }))

  it.effect("streams large files in blocks no larger than asked for", () =>
    Effect.gen(function*() {
      const sizes: Array<number> = []
      const recording = Recording.make(({ body }) => {
        assert.isFalse(body.inOnePiece)
        return Stream.runForEach(body.stream({ blockSize: 1_000_000 }), (block) =>
          Effect.sync(() => sizes.push(block.length)))
      })
      const large = 5 * 1024 ** 2 + 1
      const { report } = yield* Recording.uploadAll(recording, [UploadFile.make("large", ByteSource.generate(large))])
      assert.strictEqual(report.bytes.uploaded, large)
      assert.strictEqual(
        sizes.reduce((total, size) =>
          total + size, 0),
        large
      )
      assert.isAtMost(Math.max(...sizes), 1_000_000)
    }))
})

describe("a refused upload", () => {
  const refused = (one: UploadFile.UploadFile) =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAll, { maxPutSize: 10 })
      const run = yield* Recording.uploadAll(recording, [one, file])
      assert.deepStrictEqual(recording.history, [[0, "put a"], [0, "stored a"]])
      assert.strictEqual(run.report.attempts, 1)
      assert.deepStrictEqual(run.results.filter(UploadResult.isFailed).map(({ attempts }) => attempts), [0])
      return failure(run)
    })

  it.effect("for a key that leaves the root sends nothing", () =>
    Effect.gen(function*() {
      for (const key of ["../a", "/etc/passwd", "", "a//b", "a\0b"]) {
        assert.strictEqual(yield* refused(UploadFile.fromText(key, "x")), "Rejected InvalidKey")
      }
    }))

  it.scoped("may be one of tens of thousands in a row", () =>
    Effect.gen(function*() {
      const files = Array.from({ length: 30_000 }, (_, i) => UploadFile.fromText(`../${i}`, "x"))
      // Nobody listens: then one file follows the other without a step between them.
      const uploader = yield* Recording.uploader(Recording.make())
      const report = yield* uploader.uploadAll(files)
      assert.strictEqual(report.files.failed, 30_000)
    }))

  it.effect("for a size that the destination does not take sends nothing", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* refused(UploadFile.fromText("b", "x".repeat(11))), "Rejected TooLarge")
    }))
})

describe("backoff", () => {
  it.effect("waits at exact instants, with fixed randomness, and defers the file after the last attempt", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body, key }) =>
        key === "a" ? Effect.zipRight(Effect.sleep(10), Effect.fail(broken)) : body.bytes
      )
      const { events, report } = yield* Recording.uploadAll(recording, [file, UploadFile.fromText("b", "")], {
        strategy: Strategy.workerPool({ workers: 16 })
      }).pipe(
        Effect.withRandom(Random.fixed([0.5, 0.25, 1, 0.75]))
      )
      assert.deepStrictEqual(recording.history.filter(([, event]) => event.endsWith("a")).slice(0, 10), [
        [0, "put a"],
        [10, "Transient a"],
        [60, "put a"], // half of 100
        [70, "Transient a"],
        [120, "put a"], // a quarter of 200
        [130, "Transient a"],
        [530, "put a"], // all of 400
        [540, "Transient a"],
        [1_140, "put a"], // three quarters of 800
        [1_150, "Transient a"]
      ])
      assert.deepStrictEqual(events.map(Recording.told).filter(([, event]) => /retrying|deferred|Failed/.test(event)), [
        [10, "retrying a #1 of 5 after 50"],
        [70, "retrying a #2 of 5 after 50"],
        [130, "retrying a #3 of 5 after 400"],
        [540, "retrying a #4 of 5 after 600"],
        [1_150, "deferred a #5"],
        // The second round, with the same randomness.
        [1_160, "retrying a #6 of 10 after 50"],
        [1_220, "retrying a #7 of 10 after 50"],
        [1_280, "retrying a #8 of 10 after 400"],
        [1_690, "retrying a #9 of 10 after 600"],
        [2_300, "Failed a #10"]
      ])
      assert.strictEqual(report.retries, 9)
      assert.deepStrictEqual(report.failures, [{ key: "a", attempts: 10, error: UploadError.summarize(broken) }])
    }))

  it.effect("waits as long as the destination asks, up to the cap", () =>
    Effect.gen(function*() {
      const retryAfter = [1_234, 0, 60_000, 90_000]
      const recording = Recording.make(({ attempt, body }) =>
        attempt > 4
          ? body.bytes
          : Effect.fail(new UploadError.Throttled({ detail: "", retryAfterMillis: retryAfter[attempt - 1]! }))
      )
      const { report } = yield* Recording.uploadAll(recording, [file])
      assert.deepStrictEqual(recording.starts, [0, 1_234, 1_234, 61_234, 121_234])
      assert.strictEqual(report.files.uploaded, 1)
    }))

  it.effect("begins at one second when the destination throttles without saying how long", () =>
    Effect.gen(function*() {
      const throttled = new UploadError.Throttled({ detail: "" })
      const recording = Recording.make(({ attempt, body }) => attempt > 3 ? body.bytes : Effect.fail(throttled))
      yield* Recording.uploadAll(recording, [file], { retry: RetryPolicy.make({ jitter: "none" }) })
      assert.deepStrictEqual(recording.starts, [0, 1_000, 3_000, 7_000])
    }))

  it.effect("does not hold a permit", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        key === "a" && attempt === 1
          ? Effect.fail(new UploadError.Throttled({ detail: "", retryAfterMillis: 1_000 }))
          : Effect.zipRight(Effect.sleep(400), body.bytes)
      )
      const files = ["a", "b", "c", "d"].map((key) => UploadFile.fromText(key, key))
      const { report } = yield* Recording.uploadAll(recording, files, { strategy: Strategy.workerPool({ workers: 1 }) })
      assert.deepStrictEqual(recording.history, [
        [0, "put a"],
        [0, "Throttled a"],
        [0, "put b"],
        [400, "stored b"],
        [400, "put c"],
        [800, "stored c"],
        [800, "put d"],
        // The backoff is over at 1,000, and the permit is there at 1,200.
        [1_200, "stored d"],
        [1_200, "put a"],
        [1_600, "stored a"]
      ])
      assert.strictEqual(report.peakInFlight, 1)
    }))

  it.effect("is not for errors that the same request would meet again", () =>
    Effect.gen(function*() {
      const errors = [
        new UploadError.AuthExpired({ detail: "" }),
        new UploadError.Conflict({ detail: "" }),
        new UploadError.Rejected({ reason: "Forbidden", detail: "" }),
        new UploadError.SourceChanged({ reason: "Modified", detail: "" }),
        new UploadError.SourceUnreadable({ reason: "Failed", detail: "" })
      ]
      for (const error of errors) {
        const recording = Recording.make(({ body, key }) => key === "a" ? Effect.fail(error) : body.bytes)
        const { millis, report } = yield* Recording.uploadAll(recording, [file, UploadFile.fromText("b", "")])
        assert.deepStrictEqual(report.failures, [{ key: "a", attempts: 1, error: UploadError.summarize(error) }])
        assert.deepStrictEqual([millis, recording.starts.length], [0, 2])
      }
    }))

  it.effect("takes a start of the rate limit for each attempt", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body, key }) =>
        key === "a" && attempt < 3 ? Effect.fail(broken) : body.bytes
      )
      const files = ["a", "b", "c", "d"].map((key) => UploadFile.fromText(key, key))
      yield* Recording.uploadAll(recording, files, {
        strategy: Strategy.rateLimited({ uploadsPerSecond: 10 }),
        retry: RetryPolicy.make({ base: "10 millis" })
      })
      assert.deepStrictEqual(recording.starts, [0, 100, 200, 300, 400, 500])
    }))
})

describe("a source", () => {
  const unreadable = new UploadError.SourceUnreadable({ reason: "Forbidden", detail: "No." })
  const failing = (error: UploadError.SourceError): ByteSource.ByteSource => ({
    ...ByteSource.fromText("hello"),
    read: () => Stream.fail(error),
    bytes: () => Effect.fail(error)
  })

  for (const [way, respond] of [["in one piece", Recording.takeAll], ["as a stream", Recording.takeStream]] as const) {
    describe(`taken ${way}`, () => {
      const alone = (source: ByteSource.ByteSource, details?: UploadFile.Details) =>
        Effect.gen(function*() {
          const recording = Recording.make(respond)
          const files = [
            UploadFile.fromText("before", "x"),
            { ...UploadFile.make("bad", source, details), size: 5 },
            UploadFile.fromText("after", "x")
          ]
          const run = yield* Recording.uploadAll(recording, files)
          // It fails alone and at once, nothing of it is stored, and it is not tried again.
          assert.deepStrictEqual(Array.from(recording.objects.keys()), ["before", "after"])
          assert.deepStrictEqual([run.report.files.uploaded, run.report.attempts, run.millis], [2, 3, 0])
          assert.strictEqual(run.report.bytes.uploaded, 2)
          return failure(run)
        })

      it.effect("that cannot be read fails alone", () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* alone(failing(unreadable)), "SourceUnreadable Forbidden")
        }))

      it.effect("that has vanished fails alone", () =>
        Effect.gen(function*() {
          const gone = new UploadError.SourceUnreadable({ reason: "NotFound", detail: "" })
          assert.strictEqual(
            yield* alone({ ...ByteSource.fromText("hello"), fingerprint: Effect.fail(gone) }),
            "SourceUnreadable NotFound"
          )
          assert.strictEqual(yield* alone(failing(gone)), "SourceUnreadable NotFound")
        }))

      it.effect("that ends early fails alone", () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* alone(ByteSource.fromText("hell")), "SourceChanged EndedEarly")
          assert.strictEqual(yield* alone(ByteSource.fromText("")), "SourceChanged EndedEarly")
        }))

      it.effect("that has grown fails alone", () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* alone(ByteSource.fromText("hello!")), "SourceChanged Grew")
        }))

      it.effect("that changes while it is read fails alone", () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* alone(fingerprinted("one", "two")), "SourceChanged Modified")
        }))

      it.effect("that has changed since it was listed fails before a byte of it is sent", () =>
        Effect.gen(function*() {
          let sent = 0
          const recording = Recording.make(({ body }) =>
            Effect.tap(respond({ body }), (all) => {
              sent += all.length
            })
          )
          const { report } = yield* Recording.uploadAll(recording, [
            UploadFile.make("a", fingerprinted("new"), { fingerprint: "old" })
          ])
          assert.deepStrictEqual([report.failures[0]?.error.reason, sent], ["Modified", 0])
        }))

      it.effect("that is as it was listed is uploaded", () =>
        Effect.gen(function*() {
          const recording = Recording.make(respond)
          const { report } = yield* Recording.uploadAll(recording, [
            UploadFile.make("a", fingerprinted("same"), { fingerprint: "same" })
          ])
          assert.strictEqual(report.files.uploaded, 1)
        }))
    })
  }

  it.effect("that changes while its last bytes are read fails before they are handed out", () =>
    Effect.gen(function*() {
      const handedOut: Array<number> = []
      const recording = Recording.make(({ body }) =>
        Stream.runForEach(body.stream({ blockSize: 2 }), (block) => Effect.sync(() => handedOut.push(block.length)))
      )
      // It is looked at when the attempt starts, before the first byte, and after the last.
      const blocks = ["he", "ll", "o"].map((text) => new TextEncoder().encode(text))
      const source = { ...fingerprinted("one", "one", "two"), read: () => Stream.fromIterable(blocks) }
      const run = yield* Recording.uploadAll(recording, [UploadFile.make("a", source)])
      assert.strictEqual(failure(run), "SourceChanged Modified")
      assert.deepStrictEqual(handedOut, [2, 2])
    }))

  it.effect("that has grown is not read to its new end", () =>
    Effect.gen(function*() {
      for (const respond of [Recording.takeAll, Recording.takeStream]) {
        let read = 0
        const source = ByteSource.generate(64 * 1024 ** 2, (_, length) => {
          read += length
          return new Uint8Array(length)
        })
        const recording = Recording.make(respond)
        const run = yield* Recording.uploadAll(recording, [{ ...UploadFile.make("a", source), size: 1_000 }])
        assert.strictEqual(failure(run), "SourceChanged Grew")
        assert.isAtMost(read, 256 * 1024)
      }
    }))

  it.effect("that changes between two attempts fails as changed", () =>
    Effect.gen(function*() {
      let version = 1
      const source: ByteSource.ByteSource = {
        ...ByteSource.fromText("hello"),
        fingerprint: Effect.sync(() => `version ${version}`)
      }
      const recording = Recording.make(({ attempt, body }) =>
        attempt === 1
          ? Effect.zipRight(
            body.bytes,
            Effect.suspend(() => {
              version = 2
              return Effect.fail(broken)
            })
          )
          : body.bytes
      )
      const run = yield* Recording.uploadAll(recording, [UploadFile.make("a", source)])
      assert.strictEqual(failure(run), "SourceChanged Modified")
      assert.strictEqual(run.report.attempts, 2)
    }))

  it.effect("is the reason, whatever failure the driver makes of it", () =>
    Effect.gen(function*() {
      for (const respond of [Recording.takeAll, Recording.takeStream]) {
        const recording = Recording.make((put) => Effect.mapError(respond(put), () => broken))
        const run = yield* Recording.uploadAll(recording, [UploadFile.make("a", failing(unreadable))])
        assert.strictEqual(failure(run), "SourceUnreadable Forbidden")
        assert.strictEqual(run.report.attempts, 1)
      }
    }))

  it.effect("never has its last block handed out before it has proved whole", () =>
    Effect.gen(function*() {
      const handedOut: Array<number> = []
      const recording = Recording.make(({ body }) =>
        Stream.runForEach(body.stream(), (block) => Effect.sync(() => handedOut.push(...block)))
      )
      const source = ByteSource.fromStream(Stream.make(bytes(1, 2), bytes(3, 4), bytes(5)), { size: 6 })
      const run = yield* Recording.uploadAll(recording, [UploadFile.make("a", source)])
      assert.strictEqual(failure(run), "SourceChanged EndedEarly")
      assert.deepStrictEqual(handedOut, [1, 2, 3, 4])
    }))

  it.effect("that can be read once only is tried again until its first byte was taken", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body }) =>
        attempt < 3
          ? Effect.fail(broken)
          : attempt === 3
          ? Effect.zipRight(body.bytes, Effect.fail(broken))
          : body.bytes
      )
      const once = ByteSource.fromStream(Stream.make(bytes(1, 2)), { size: 2 })
      const run = yield* Recording.uploadAll(recording, [UploadFile.make("a", once), UploadFile.fromText("b", "")])
      // The failure is the destination's, not that the source cannot be read again.
      assert.strictEqual(failure(run), "Transient Connection")
      assert.deepStrictEqual(run.report.failures.map(({ attempts }) => attempts), [3])
    }))
})

describe("an unknown size", () => {
  const unknown = () => UploadFile.make("a", ByteSource.fromStream(Stream.make(bytes(1, 2), bytes(3), bytes(4, 5))))

  it.effect("is streamed to a destination that takes one", () =>
    Effect.gen(function*() {
      const recording = Recording.make((put) => {
        assert.deepStrictEqual([put.body.size, put.body.inOnePiece], [undefined, false])
        return Recording.takeStream(put)
      })
      const { report } = yield* Recording.uploadAll(recording, [unknown()])
      assert.deepStrictEqual(recording.objects, new Map([["a", bytes(1, 2, 3, 4, 5)]]))
      assert.deepStrictEqual(report.bytes, { total: 5, uploaded: 5, resumed: 0 })
    }))

  it.effect("is found beforehand for a destination that must know it, and the bytes can be sent again", () =>
    Effect.gen(function*() {
      const recording = Recording.make((put) => {
        assert.strictEqual(put.body.size, 5)
        return put.attempt < 3 ? Effect.fail(broken) : put.body.bytes
      }, { unknownSize: false })
      const { report } = yield* Recording.uploadAll(recording, [unknown()])
      assert.deepStrictEqual(recording.objects, new Map([["a", bytes(1, 2, 3, 4, 5)]]))
      assert.deepStrictEqual(report.bytes, { total: 5, uploaded: 5, resumed: 0 })
      assert.strictEqual(report.attempts, 3)
    }))

  it.effect("is found beforehand for a source with a fingerprint too", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body }) => {
        assert.strictEqual(body.size, 5)
        return body.bytes
      }, { unknownSize: false })
      const source = { ...fingerprinted("same"), size: undefined }
      const { report } = yield* Recording.uploadAll(recording, [UploadFile.make("a", source)])
      assert.strictEqual(report.files.uploaded, 1)
    }))

  it.effect("that turns out too large for the destination is refused", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAll, { unknownSize: false, maxPutSize: 4 })
      assert.strictEqual(failure(yield* Recording.uploadAll(recording, [unknown()])), "Rejected TooLarge")
      assert.deepStrictEqual(recording.history, [])
    }))

  it.effect("is held in memory up to 8 MiB only", () =>
    Effect.gen(function*() {
      let read = 0
      const mebibyte = new Uint8Array(1024 ** 2)
      const endless = Stream.repeatEffect(Effect.sync(() => {
        read += 1
        return mebibyte
      }))
      const recording = Recording.make(Recording.takeAll, { unknownSize: false })
      const run = yield* Recording.uploadAll(recording, [UploadFile.make("a", ByteSource.fromStream(endless))])
      assert.strictEqual(failure(run), "Rejected Unsupported")
      assert.strictEqual(read, 9)
    }))
})

describe("a destination", () => {
  const early = ({ body }: Recording.Put) => Effect.asVoid(Stream.runHead(body.stream({ blockSize: 2 })))

  it.effect("that answers before all bytes were taken has not stored the file", () =>
    Effect.gen(function*() {
      const recording = Recording.make((put) => put.attempt === 1 ? early(put) : put.body.bytes)
      const { events, report } = yield* Recording.uploadAll(recording, [file]).pipe(
        Effect.withRandom(Random.fixed([0.5]))
      )
      assert.deepStrictEqual(events.map(Recording.told).slice(1), [
        [0, "started a #1"],
        [0, "retrying a #1 of 5 after 50"],
        [50, "started a #2"],
        [50, "Uploaded a #2"]
      ])
      assert.deepStrictEqual(events[2]?._tag === "UploadRetrying" && events[2].error, {
        _tag: "IntegrityMismatch",
        reason: "Size",
        message: "The destination reported the object as stored after 2 of 5 bytes."
      })
      assert.strictEqual(report.bytes.uploaded, 5)
    }))

  it.effect("that answers without taking a byte has not stored the file", () =>
    Effect.gen(function*() {
      const recording = Recording.make(() => Effect.void)
      const retry = RetryPolicy.make({ attempts: 1 })
      assert.strictEqual(failure(yield* Recording.uploadAll(recording, [file], { retry })), "IntegrityMismatch Size")
    }))

  it.effect("that answers before the end of a file of unknown size has not stored it", () =>
    Effect.gen(function*() {
      for (const unknownSize of [true, false]) {
        const recording = Recording.make(early, { unknownSize })
        const source = ByteSource.fromStream(Stream.make(bytes(1, 2), bytes(3, 4)))
        const run = yield* Recording.uploadAll(recording, [UploadFile.make("a", source)])
        assert.strictEqual(failure(run), "IntegrityMismatch Size")
      }
    }))

  it.effect("whose driver dies fails only that file, without a retry", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body, key }) => key === "a" ? Effect.die(new Error("boom")) : body.bytes)
      const run = yield* Recording.uploadAll(recording, [file, UploadFile.fromText("b", "")])
      assert.strictEqual(failure(run), "Rejected Unexpected")
      assert.deepStrictEqual(run.report.failures[0], {
        key: "a",
        attempts: 1,
        error: {
          _tag: "Rejected",
          reason: "Unexpected",
          message: "The destination's driver failed unexpectedly: Error: boom"
        }
      })
      const [failed] = run.results.filter(UploadResult.isFailed)
      assert.propertyVal(failed?.error.cause, "message", "boom")
      assert.strictEqual(run.report.files.uploaded, 1)
    }))

  it.effect("whose driver interrupts itself fails only that file, without a retry", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body, key }) => key === "a" ? Effect.interrupt : body.bytes)
      const run = yield* Recording.uploadAll(recording, [file, UploadFile.fromText("b", "")])
      assert.strictEqual(failure(run), "Rejected Unexpected")
      assert.strictEqual(run.report.files.uploaded, 1)
    }))
})

describe("a stall", () => {
  // Not for ever: where a stall is missed, the test is to fail and not to run for ever.
  const hanging = Effect.sleep("1 hour")

  const stalled = (events: Recording.Run["events"]) =>
    events.map(Recording.told).filter(([, event]) => !event.startsWith("listed"))

  it.effect("of 30 s without a byte fails the attempt at that instant, and it is tried again", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body }) =>
        attempt === 1 ? Effect.zipRight(body.bytes, hanging) : body.bytes
      )
      const { events } = yield* Recording.uploadAll(recording, [file]).pipe(Effect.withRandom(Random.fixed([1])))
      assert.deepStrictEqual(stalled(events), [
        [0, "started a #1"],
        [30_000, "retrying a #1 of 5 after 100"],
        [30_100, "started a #2"],
        [30_100, "Uploaded a #2"]
      ])
      assert.deepStrictEqual(events[2]?._tag === "UploadRetrying" && events[2].error, {
        _tag: "Transient",
        reason: "Stalled",
        message: "No bytes moved for 30s."
      })
    }))

  it.effect("is counted from the last byte", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ attempt, body }) =>
        attempt === 1
          ? Stream.runForEach(Stream.take(body.stream({ blockSize: 1 }), 4), () => Effect.sleep(7_000)).pipe(
            Effect.zipRight(hanging)
          )
          : body.bytes
      )
      yield* Recording.uploadAll(recording, [file]).pipe(Effect.withRandom(Random.fixed([0])))
      assert.deepStrictEqual(recording.history.slice(1, 3), [[51_000, "interrupted a"], [51_000, "put a"]])
    }))

  it.effect("does not happen while bytes trickle to the destination, however slowly", () =>
    Effect.gen(function*() {
      const recording = Recording.make(({ body }) =>
        Stream.runForEach(body.stream({ blockSize: 1 }), () => Effect.sleep(29_000))
      )
      const { millis, report } = yield* Recording.uploadAll(recording, [file])
      assert.deepStrictEqual([report.files.uploaded, report.attempts, millis], [1, 1, 145_000])
    }))

  it.effect("does not happen while bytes trickle from the source", () =>
    Effect.gen(function*() {
      for (const unknownSize of [true, false]) {
        const recording = Recording.make(Recording.takeStream, { unknownSize })
        const source = ByteSource.fromStream(slowly(29_000, 4))
        const { millis, report } = yield* Recording.uploadAll(recording, [UploadFile.make("a", source)])
        assert.deepStrictEqual([report.files.uploaded, report.bytes.uploaded, millis], [1, 20, 116_000])
      }
    }))

  it.effect("does not happen while the upload waits for bandwidth", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeStream)
      const files = Array.from({ length: 64 }, (_, i) => UploadFile.make(`f${i}`, ByteSource.generate(2_048)))
      const { millis, report } = yield* Recording.uploadAll(recording, files, {
        strategy: Strategy.bandwidth({ bytesPerSecond: 1_024 })
      })
      assert.deepStrictEqual([report.files.uploaded, report.attempts, millis], [64, 64, 128_000])
    }))

  it.effect("does not happen while callbacks take their time", () =>
    Effect.gen(function*() {
      const recording = Recording.make()
      const { millis, report } = yield* Recording.uploadAll(recording, [file], {
        run: { onEvent: ({ _tag }) => _tag === "UploadStarted" ? Effect.sleep(90_000) : Effect.void }
      })
      assert.deepStrictEqual([report.files.uploaded, report.attempts, millis], [1, 1, 90_000])
    }))

  it.effect("is seen for an empty file too", () =>
    Effect.gen(function*() {
      for (const take of [Recording.takeAll, Recording.takeStream]) {
        const recording = Recording.make((put) => put.attempt === 1 ? Effect.zipRight(take(put), hanging) : take(put))
        const { millis, report } = yield* Recording.uploadAll(
          recording,
          [UploadFile.make("a", ByteSource.generate(0))],
          {
            retry: RetryPolicy.make({ base: 0 })
          }
        )
        assert.deepStrictEqual([report.files.uploaded, report.attempts, millis], [1, 2, 30_000])
      }
    }))

  it.effect("is seen at each upload's own instant, for many at once", () =>
    Effect.gen(function*() {
      const cut: Array<readonly [at: number, key: string]> = []
      const recording = Recording.make(({ key }) =>
        Effect.onInterrupt(hanging, () =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            cut.push([now, key])
          }))
      )
      const files = Array.from({ length: 5 }, (_, i) => UploadFile.fromText(`f${i}`, "x"))
      const { report } = yield* Recording.uploadAll(recording, files, {
        strategy: Strategy.rateLimited({ uploadsPerSecond: 0.25 }),
        retry: RetryPolicy.none,
        run: { stallTimeout: "7 seconds" }
      })
      assert.deepStrictEqual(cut, [[7_000, "f0"], [11_000, "f1"], [15_000, "f2"], [19_000, "f3"], [23_000, "f4"]])
      assert.strictEqual(report.files.failed, 5)
    }))

  it.effect("never happens if the timeout is infinite", () =>
    Effect.gen(function*() {
      const recording = Recording.make(Recording.takeAfter(86_400_000))
      const { millis, report } = yield* Recording.uploadAll(recording, [file], {
        run: { stallTimeout: Duration.infinity }
      })
      assert.deepStrictEqual([report.attempts, millis], [1, 86_400_000])
    }))

  it.effect("at the instant of an interruption is an interruption", () =>
    Effect.gen(function*() {
      const cut = yield* Deferred.make<void>()
      const recording = Recording.make((put) =>
        put.attempt === 1
          ? Effect.onInterrupt(hanging, () => Deferred.succeed(cut, undefined))
          : Recording.takeAfter(1_000)(put)
      )
      const { millis, value } = yield* Recording.virtual(Effect.gen(function*() {
        const uploader = yield* Recording.uploader(recording)
        const run = yield* uploader.start([file])
        yield* Deferred.await(cut)
        yield* run.interrupt
        return yield* run.report
      }))
      assert.deepStrictEqual([millis, value.ended, value.attempts], [30_000, "Interrupted", 1])
      assert.deepStrictEqual(recording.history, [[0, "put a"], [30_000, "interrupted a"]])
    }))
})
