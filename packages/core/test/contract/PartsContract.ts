/**
 * Large objects, which go up in parts: their borders, their ends, and what is left when they do not end well.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  ByteSource,
  Checksum,
  Destination,
  Journal,
  RetryPolicy,
  Uploader,
  UploadError,
  UploadFile
} from "@sluice/core"
import { Effect, Either, Fiber } from "effect"
import * as PartPlan from "../../src/internal/calls/partPlan.js"
import { pattern, sameBytes, scripted } from "../support/TestSource.js"
import { Stages } from "./Stages.js"
import type { Fate, Stage } from "./Stages.js"
import { blocksOf, journaled, staged, told, uploadOne } from "./Subject.js"
import type { Subject } from "./Subject.js"

export const partsContract = <R>(subject: Subject<R>): void => {
  const { parts } = subject
  if (parts === undefined) return
  const { partSize, unfinished } = parts

  const onFresh = <A, E>(
    program: Effect.Effect<A, E, Destination.Destination | Uploader.Uploader | Stages | R>,
    options: Uploader.Options = {}
  ): Effect.Effect<A, E> => Effect.provide(program, staged(subject, options))

  const withJournal = <A, E>(
    program: Effect.Effect<A, E, Destination.Destination | Journal.Journal | Uploader.Uploader | Stages | R>
  ): Effect.Effect<A, E> => Effect.provide(program, journaled(subject, { partConcurrency: 1 }))

  const nothingUnder = (what: string) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* subject.list, [], `objects ${what}`)
      assert.deepStrictEqual(yield* unfinished, [], `unfinished ${what}`)
    })

  const holds = (key: string, bytes: Uint8Array) =>
    Effect.gen(function*() {
      assert.isTrue(sameBytes(yield* subject.readBack(key), bytes), key)
      assert.deepStrictEqual(yield* unfinished, [], "unfinished")
    })

  const large = pattern(2 * partSize + 1, 5)
  const file = (key = "large") => UploadFile.fromBytes(key, large)
  const stored = (key: string): UploadFile.UploadFile => {
    const source = { ...ByteSource.fromBytes(large), fingerprint: Effect.succeed("1") }
    return UploadFile.make(key, source, { fingerprint: "1" })
  }

  describe("parts", () => {
    for (
      const [name, size] of [
        ["two bytes", 2],
        ["one less than a part", partSize - 1],
        ["just a part", partSize],
        ["one more than a part", partSize + 1],
        ["one less than two parts", 2 * partSize - 1],
        ["just two parts", 2 * partSize],
        ["one more than two parts", 2 * partSize + 1]
      ] as const
    ) {
      it.live(`stores ${name}`, () =>
        onFresh(Effect.gen(function*() {
          const bytes = pattern(size, size)
          const { result } = yield* uploadOne(UploadFile.fromBytes("some where/large", bytes))
          assert.strictEqual(told(result), "Uploaded", result?._tag === "Failed" ? result.error.message : "")
          yield* holds("some where/large", bytes)
          const { asked } = yield* Stages
          assert.strictEqual(asked().filter((stage) => stage.startsWith("part")).length, Math.ceil(size / partSize))
        })))
    }

    it.live("stores several objects in parts at once", () =>
      onFresh(Effect.gen(function*() {
        const uploader = yield* Uploader.Uploader
        const sizes = [partSize + 1, 2 * partSize, 2 * partSize + 7]
        const report = yield* uploader.uploadAll(
          sizes.map((size, i) => UploadFile.fromBytes(`${i}`, pattern(size, i + 1)))
        )
        assert.strictEqual(report.files.uploaded, sizes.length)
        for (const [i, size] of sizes.entries()) yield* holds(`${i}`, pattern(size, i + 1))
      })))

    it.live("stores a stream that runs only once", () =>
      onFresh(Effect.gen(function*() {
        const source = ByteSource.fromStream(blocksOf(large, 100_003), { size: large.length })
        assert.strictEqual(told((yield* uploadOne(UploadFile.make("large", source))).result), "Uploaded")
        yield* holds("large", large)
      })))

    it.live("stores a stream of unknown length", () =>
      onFresh(Effect.gen(function*() {
        for (const bytes of [pattern(0), pattern(1), large]) {
          const key = `unknown-${bytes.length}`
          const source = ByteSource.fromStream(blocksOf(bytes, 100_003))
          const { result } = yield* uploadOne(UploadFile.make(key, source))
          assert.strictEqual(
            told(result),
            "Uploaded",
            `${key} ${result?._tag === "Failed" ? result.error.message : ""}`
          )
          yield* holds(key, bytes)
        }
      })))

    it.live("replaces an object", () =>
      onFresh(Effect.gen(function*() {
        yield* uploadOne(UploadFile.fromText("large", "small"))
        yield* uploadOne(file())
        yield* holds("large", large)
      })))

    it.live("plans within its limits, up to the largest number of parts", () =>
      onFresh(Effect.gen(function*() {
        const { multipart } = yield* Destination.Destination
        assert.isDefined(multipart)
        const { limits } = multipart!
        for (const count of [1, 2, 9999, 10_000, 10_001, 100_000]) {
          const size = Math.min(count * partSize, limits.maxObjectSize)
          const plan = Either.getOrThrow(PartPlan.make({ size, partSize, limits }))
          assert.isAtMost(plan.count, limits.maxCount, String(count))
          assert.isAtLeast(plan.partSize, Math.min(limits.minSize, size), String(count))
          assert.isAtMost(plan.partSize, limits.maxSize, String(count))
          assert.strictEqual(plan.partSize % limits.multiple, 0, String(count))
          assert.isAtLeast(plan.count * plan.partSize, size, String(count))
          assert.isBelow((plan.count - 1) * plan.partSize, size, String(count))
        }
      })))
  })

  describe("sources of large objects that go wrong", () => {
    const refuses = (make: (key: string) => UploadFile.UploadFile, expected: string) =>
      onFresh(Effect.gen(function*() {
        assert.strictEqual(told((yield* uploadOne(make("large"))).result), `Failed: ${expected}`)
        yield* nothingUnder("afterwards")
      }))
    const first = large.subarray(0, partSize + 10)
    const rest = large.subarray(partSize + 10)
    const once = (bytes: Uint8Array, size: number) => ByteSource.fromStream(blocksOf(bytes, 50_000), { size })

    it.live("refuses one that ends early", () =>
      refuses((key) => UploadFile.make(key, once(first, large.length)), "SourceChanged EndedEarly"))

    it.live("refuses one that grows", () =>
      refuses((key) => UploadFile.make(key, once(large, first.length)), "SourceChanged Grew"))

    it.live("refuses one that fails half-way", () => {
      const broken = Effect.fail(new UploadError.SourceUnreadable({ reason: "Failed", detail: "A bad sector." }))
      const source = scripted({ size: undefined, steps: [first, broken, rest] })
      return refuses((key) => UploadFile.make(key, { ...source, reopenable: false }), "SourceUnreadable Failed")
    })

    it.live("refuses one that is modified meanwhile", () => {
      let version = 1
      const fingerprint = Effect.sync(() => `version ${version++}`)
      return refuses(
        (key) => UploadFile.make(key, { ...ByteSource.fromBytes(large), fingerprint }),
        "SourceChanged Modified"
      )
    })
  })

  describe("interruption of large objects", () => {
    const wait: Fate = { _tag: "Wait" }
    const before: Fate = { _tag: "Hang", done: false }
    const after: Fate = { _tag: "Hang", done: true }

    /** Interrupts an upload when a stage has been reached; what waits there may then go on. */
    const interruptedAt = (stage: Stage, fate: Fate) =>
      Effect.gen(function*() {
        const stages = yield* Stages
        yield* stages.next(stage, fate)
        const uploading = yield* Effect.fork(uploadOne(file()))
        yield* stages.met
        const interrupting = yield* Effect.fork(Fiber.interrupt(uploading))
        yield* stages.goOn
        yield* Fiber.join(interrupting)
      })

    for (
      const [name, stage, fate] of [
        ["while it is created", "create", wait],
        ["before its first part", "part 1", before],
        ["after its first part", "part 1", after],
        ["before its last part", "part 3", before],
        ["after its last part", "part 3", after]
      ] as const
    ) {
      it.live(`${name} leaves nothing`, () =>
        onFresh(
          Effect.gen(function*() {
            yield* interruptedAt(stage, fate)
            // Where the last part makes the object, it is there, whole.
            if (parts.lastPartCompletes === true && stage === "part 3" && fate === after) yield* holds("large", large)
            else yield* nothingUnder(name)
          }),
          { partConcurrency: 1 }
        ))
    }

    it.live("while it is completed leaves all of it or nothing", () =>
      onFresh(Effect.gen(function*() {
        yield* interruptedAt("complete", { _tag: "Wait" })
        const there = yield* subject.readBack("large")
        if (there !== undefined) assert.isTrue(sameBytes(there, large))
        assert.deepStrictEqual(yield* unfinished, [])
      })))

    it.live("while it is aborted waits for that", () =>
      onFresh(
        Effect.gen(function*() {
          const stages = yield* Stages
          yield* stages.next("abort", { _tag: "Wait" })
          const source = ByteSource.fromStream(blocksOf(large.subarray(0, partSize + 1), 50_000), {
            size: large.length
          })
          const uploading = yield* Effect.fork(uploadOne(UploadFile.make("large", source)))
          yield* stages.met
          const interrupting = yield* Effect.fork(Fiber.interrupt(uploading))
          yield* stages.goOn
          yield* Fiber.join(interrupting)
          yield* nothingUnder("after the abort")
        })
      ))
  })

  describe("lost answers", () => {
    for (const stage of ["part 1", "part 2", "part 3", "complete", "abort"]) {
      it.live(`of ${stage} are made good`, () =>
        onFresh(
          Effect.gen(function*() {
            const stages = yield* Stages
            yield* stages.next(stage, { _tag: "Lost" })
            if (stage === "abort") {
              const source = ByteSource.fromStream(blocksOf(large.subarray(0, partSize), 50_000), {
                size: large.length
              })
              yield* uploadOne(UploadFile.make("large", source))
              yield* nothingUnder("after the abort")
            } else {
              const { result } = yield* uploadOne(file())
              assert.strictEqual(told(result), "Uploaded", result?._tag === "Failed" ? result.error.message : "")
              yield* holds("large", large)
            }
            yield* stages.met
          }),
          { partConcurrency: 1 }
        ))
    }

    it.live("of a put are made good", () =>
      onFresh(Effect.gen(function*() {
        const stages = yield* Stages
        yield* stages.next("put", { _tag: "Lost" })
        assert.strictEqual(told((yield* uploadOne(UploadFile.fromText("small", "x"))).result), "Uploaded")
        assert.isTrue(sameBytes(yield* subject.readBack("small"), new TextEncoder().encode("x")))
        yield* stages.met
      })))
  })

  describe("sessions", () => {
    const begun = Effect.gen(function*() {
      const { multipart } = yield* Destination.Destination
      const uploadId = yield* multipart!.create({
        key: "large",
        size: large.length,
        checksum: undefined,
        token: "0123456789abcdef0123456789abcdef"
      })
      return { multipart: multipart!, session: { key: "large", uploadId } }
    })

    it.live("are aborted, as often as that is asked for", () =>
      onFresh(Effect.gen(function*() {
        const { multipart, session } = yield* begun
        yield* multipart.abort(session)
        yield* multipart.abort(session)
        yield* nothingUnder("after the abort")
      })))

    it.live("that were aborted cannot be completed", () =>
      onFresh(Effect.gen(function*() {
        const { multipart, session } = yield* begun
        yield* multipart.abort(session)
        const error = yield* Effect.flip(multipart.complete({
          ...session,
          parts: [{ number: 1, size: partSize, etag: "\"d41d8cd98f00b204e9800998ecf8427e\"" }],
          size: partSize,
          checksum: undefined
        }))
        assert.strictEqual(error._tag, "SessionGone", error.message)
        yield* nothingUnder("after the abort")
      })))
  })

  describe("going on", () => {
    /** Keeps an upload that was interrupted after two of its three parts. */
    const kept = (key: string) =>
      Effect.gen(function*() {
        const stages = yield* Stages
        yield* stages.next("part 3", { _tag: "Hang", done: false })
        const uploading = yield* Effect.fork(uploadOne(stored(key), { onInterrupt: "keep" }))
        yield* stages.met
        yield* Fiber.interrupt(uploading)
        return stages.asked().length
      })

    it.live("sends only what is not stored", () =>
      withJournal(Effect.gen(function*() {
        const before = yield* kept("large")
        const { asked } = yield* Stages
        const { result } = yield* uploadOne(stored("large"))
        assert.strictEqual(told(result), "Uploaded", result?._tag === "Failed" ? result.error.message : "")
        yield* holds("large", large)
        const sent = asked().slice(before).filter((stage) => stage !== "list")
        assert.deepStrictEqual(sent, ["part 3", "complete"])
      })))

    it.live("begins again where the source has changed, and leaves nothing of the old upload", () =>
      withJournal(Effect.gen(function*() {
        const before = yield* kept("large")
        const { asked } = yield* Stages
        const bytes = pattern(2 * partSize + 5, 77)
        const source = { ...ByteSource.fromBytes(bytes), fingerprint: Effect.succeed("2") }
        const { result } = yield* uploadOne(UploadFile.make("large", source, { fingerprint: "2" }))
        assert.strictEqual(told(result), "Uploaded")
        yield* holds("large", bytes)
        assert.deepStrictEqual(asked().slice(before, before + 3), ["abort", "create", "part 1"])
      })))

    it.live("begins again where the upload is gone", () =>
      withJournal(Effect.gen(function*() {
        yield* kept("large")
        const { multipart } = yield* Destination.Destination
        const session = (yield* (yield* Journal.Journal).sessions)[0]
        assert.isDefined(session)
        yield* multipart!.abort({ key: "large", uploadId: session!.uploadId ?? session!.token })
        const { result } = yield* uploadOne(stored("large"))
        assert.strictEqual(told(result), "Uploaded", result?._tag === "Failed" ? result.error.message : "")
        yield* holds("large", large)
      })))
  })

  describe("what was stored otherwise", () => {
    const wrong = { size: 1 }

    it.live("is told from a small object's answer", () =>
      onFresh(Effect.gen(function*() {
        const stages = yield* Stages
        yield* stages.next("put", { _tag: "Tells", stored: { size: 2 } })
        const { retried } = yield* uploadOne(UploadFile.fromText("small", "x"))
        assert.deepStrictEqual(retried, ["IntegrityMismatch"])
      })))

    it.live("is told from a large object's answer", () =>
      onFresh(Effect.gen(function*() {
        const stages = yield* Stages
        yield* stages.next("complete", { _tag: "Tells", stored: wrong })
        const { result, retried } = yield* uploadOne(file())
        assert.isTrue(retried.includes("IntegrityMismatch") || told(result).includes("IntegrityMismatch"))
      })))

    it.live("is told by checksums", () =>
      onFresh(Effect.gen(function*() {
        const { capabilities: { checksums = [] } } = yield* Destination.Destination
        const [algorithm] = checksums
        if (algorithm === undefined) return
        const stages = yield* Stages
        const checksum = Checksum.of(algorithm, pattern(1000, 9))
        yield* stages.next("put", { _tag: "Tells", stored: { checksum } })
        const { retried } = yield* uploadOne(UploadFile.fromText("small", "x"))
        assert.deepStrictEqual(retried, ["IntegrityMismatch"])
      })))
  })

  // Kept apart: nothing is tried again here.
  it.live("leaves nothing when a part fails for good", () =>
    onFresh(
      Effect.gen(function*() {
        const stages = yield* Stages
        yield* stages.next("part 2", { _tag: "Lost" })
        assert.strictEqual(told((yield* uploadOne(file())).result), "Failed: Transient Connection")
        yield* nothingUnder("afterwards")
      }),
      { retry: RetryPolicy.none }
    ))
}
