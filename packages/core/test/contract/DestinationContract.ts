/**
 * What every destination has to get right, whatever it stores to. The cases go through the engine, as all uploads do.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  ByteSource,
  Destination,
  RetryPolicy,
  Strategy,
  Uploader,
  UploadError,
  UploadFile,
  UploadResult
} from "@sluice/core"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Stream } from "effect"
import { openFiles } from "../support/OpenFiles.js"
import { pattern, sameBytes, scripted } from "../support/TestSource.js"
import { faultsContract } from "./FaultsContract.js"
import { looksContract } from "./LooksContract.js"
import { partsContract } from "./PartsContract.js"
import type { Subject } from "./Subject.js"

export type { Subject } from "./Subject.js"

const kib = 1024
const mib = 1024 * kib

const sizes = [
  0,
  1,
  64 * kib - 1,
  64 * kib,
  64 * kib + 1,
  256 * kib - 1,
  256 * kib,
  256 * kib + 1,
  mib - 1,
  mib,
  mib + 1
]

/** Names that have to be stored as they are. */
export const oddNames: ReadonlyArray<string> = [
  "with spaces in it.txt",
  " leading and trailing ",
  "tab\tand\nnewline",
  "caf\u00e9 (NFC)",
  "cafe\u0301 (NFD)",
  "emoji 🎉👩‍👩‍👧.jpg",
  "日本語/ファイル.txt",
  "right-to-left \u202eabc",
  "quotes ' \" ` .txt",
  "100% of it",
  "%2e%2e/%2F",
  "%",
  ".hidden",
  "..two dots",
  "...",
  "dir./dots.",
  "-rf",
  "--help",
  "~",
  "$HOME;`id`|x&&y>z",
  "back\\slash",
  "..\\..\\windows",
  "colon: inside",
  "Q: notes.txt",
  "a:b",
  "C:",
  "c:/windows",
  "later/C:/x",
  "what?x=1&y=2#part",
  "#",
  "?",
  "a+b&c=d;e,f@g!h*(i)[j]{k}",
  "{key}",
  "http://example.org".replace("//", "/"),
  "CON",
  ".sluice-00000000.part",
  "n".repeat(200),
  "é".repeat(100),
  Array.from({ length: 60 }, (_, depth) => `d${depth}`).join("/")
]

/** Each character of ASCII in a name, but for those that no name can have: in the middle, and at both ends. */
const asciiNames: ReadonlyArray<string> = Array.from({ length: 127 }, (_, code) => String.fromCharCode(code + 1))
  .filter((character) => character !== "/")
  .flatMap((character, i) => [`a${i}${character}b`, ...(character === "." ? [] : [`${character}${i}${character}`])])

/** Keys that could lead out of a root, or that are not text. */
export const hostileKeys: ReadonlyArray<string> = [
  "",
  "/",
  "//",
  ".",
  "..",
  "/etc/passwd",
  "//server/share",
  "../outside",
  "./inside",
  "a/../b",
  "a/../../outside",
  "a/..",
  "a/.",
  "a/./b",
  "/..",
  "..//outside",
  "../../../../../../../../tmp/sluice-outside",
  "a/b/../../../outside",
  "\0",
  "a\0b",
  "a/b\0.txt",
  "\ud800",
  "a\udc00b",
  "a/\udbff/b"
]

/** Keys that a store of objects may take, and that no path can be. */
const withEmptySegments: ReadonlyArray<string> = ["a//b", "a/", "a//", "folder/marker/"]

/** Registers the cases of the contract for one destination. */
export const destinationContract = <R>(subject: Subject<R>): void => {
  const layerOf = (strategy: Strategy.Strategy) =>
    Uploader.layer({ strategy, retry: RetryPolicy.none }).pipe(Layer.provideMerge(Layer.orDie(subject.layer)))

  const pool = Strategy.workerPool({ workers: 8 })

  /** Runs a case on a destination of its own; no file that was opened may stay open. */
  const onFresh = <A, E>(
    program: Effect.Effect<A, E, Destination.Destination | Uploader.Uploader | R>,
    strategy: Strategy.Strategy = pool
  ): Effect.Effect<A, E> =>
    Effect.gen(function*() {
      const before = openFiles()
      const value = yield* Effect.provide(program, layerOf(strategy))
      assert.deepStrictEqual(openFiles(), before, "files left open")
      return value
    })

  const upload = (file: UploadFile.UploadFile) => Effect.flatMap(Uploader.Uploader, (uploader) => uploader.upload(file))

  const resultsOf = (files: ReadonlyArray<UploadFile.UploadFile>) =>
    Effect.gen(function*() {
      const uploader = yield* Uploader.Uploader
      const results = new Map<string, UploadResult.UploadResult>()
      yield* uploader.uploadAll(files, {
        onResult: (result) => Effect.sync(() => results.set(result.file.key, result))
      })
      return results
    })

  const storesAll = (contents: ReadonlyMap<string, Uint8Array>) =>
    Effect.gen(function*() {
      const results = yield* resultsOf(Array.from(contents, ([key, bytes]) => UploadFile.fromBytes(key, bytes)))
      for (const [key, bytes] of contents) {
        const result = results.get(key)
        const shown = JSON.stringify(key)
        assert.strictEqual(
          result?._tag,
          "Uploaded",
          `${shown}: ${result?._tag === "Failed" ? result.error.message : ""}`
        )
        assert.isTrue(sameBytes(yield* subject.readBack(key), bytes), `${shown} of ${bytes.length} bytes`)
      }
      assert.deepStrictEqual([...yield* subject.list].sort(), [...contents.keys()].sort())
    })

  /** What a source that goes wrong comes to, when nothing, or something else, was stored under its key before. */
  const refuses = (file: (key: string) => UploadFile.UploadFile, expected: readonly [tag: string, reason: string]) =>
    onFresh(Effect.gen(function*() {
      const old = pattern(1000, 99)
      yield* upload(UploadFile.fromBytes("old", old))
      for (const key of ["old", "new", "some/where/new"]) {
        const error = yield* Effect.flip(upload(file(key)))
        assert.deepStrictEqual([error._tag, "reason" in error ? error.reason : ""], expected)
      }
      assert.isTrue(sameBytes(yield* subject.readBack("old"), old), "the old object")
      assert.deepStrictEqual(yield* subject.list, ["old"])
    }))

  /** A source that gives `before`, says so, and gives `after` once it may. */
  const gated = (before: Uint8Array, after: Uint8Array) =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const source = scripted({
        size: before.length + after.length,
        steps: [before, Deferred.succeed(reached, undefined), Deferred.await(goOn), after]
      })
      return { source, reached: Deferred.await(reached), goOn: Deferred.succeed(goOn, undefined) }
    })

  describe(subject.name, () => {
    describe("bytes", () => {
      it.live("stores sizes around the borders of blocks", () =>
        onFresh(storesAll(new Map(sizes.map((size) => [`size-${size}`, pattern(size, size + 1)])))))

      it.live("stores a large object", () => onFresh(storesAll(new Map([["large", pattern(20 * mib)]]))))

      it.live("stores sizes around the borders of blocks from streams that run only once", () =>
        onFresh(Effect.gen(function*() {
          const contents = new Map(sizes.map((size) => [`size-${size}`, pattern(size, size + 1)]))
          const results = yield* resultsOf(Array.from(contents, ([key, bytes]) => {
            const blocks = Stream.unfold(0, (offset) =>
              offset >= bytes.length
                ? Option.none()
                : Option.some([bytes.subarray(offset, offset + 10_007), offset + 10_007] as const))
            return UploadFile.make(key, ByteSource.fromStream(blocks, { size: bytes.length }))
          }))
          for (const [key, bytes] of contents) {
            assert.strictEqual(results.get(key)?._tag, "Uploaded", key)
            assert.isTrue(sameBytes(yield* subject.readBack(key), bytes), key)
          }
        })))

      it.live("stores what nobody knew the size of", () =>
        onFresh(Effect.gen(function*() {
          for (const size of [0, 1, 3 * mib + 1]) {
            const bytes = pattern(size, 7)
            const result = yield* upload(
              UploadFile.make(`unknown-${size}`, ByteSource.fromStream(Stream.make(bytes.slice(0, 5), bytes.slice(5))))
            )
            assert(UploadResult.isUploaded(result))
            assert.strictEqual(result.bytes, size)
            assert.isTrue(sameBytes(yield* subject.readBack(`unknown-${size}`), bytes), String(size))
          }
        })))

      it.live("takes blocks of any size, empty ones too", () =>
        onFresh(Effect.gen(function*() {
          const bytes = pattern(2 * mib + 5)
          const cuts = [0, 0, 1, 1, 2, 1000, 1000, mib, 2 * mib, 2 * mib + 5, 2 * mib + 5]
          const steps = cuts.map((cut, i) => bytes.subarray(i === 0 ? 0 : cuts[i - 1], cut))
          yield* upload(UploadFile.make("cut", scripted({ size: bytes.length, steps })))
          assert.isTrue(sameBytes(yield* subject.readBack("cut"), bytes))
        })))
    })

    describe("keys", () => {
      it.live("stores under odd names", () =>
        onFresh(storesAll(
          new Map(
            oddNames.filter((key) => subject.takesKey?.(key) ?? true).map((key, i) => [key, pattern(100 + i, i + 1)])
          )
        )))

      it.live("stores under names that differ by case, spaces and the form of letters only", () =>
        onFresh(storesAll(
          new Map(["A", "a", "a ", " a", "a  b", "a b", "\u00e9", "e\u0301", "\u212b", "\u00c5"].map(
            (key, i) => [`same/${key}`, pattern(10 + i, i + 1)]
          ))
        )))

      it.live("stores under names with any character of ASCII", () =>
        onFresh(storesAll(
          new Map(
            asciiNames.filter((key) => subject.takesKey?.(key) ?? true).map((key, i) => [key, pattern(1 + i, i + 1)])
          )
        )))

      it.live("refuses what it cannot store under, and says so", () =>
        onFresh(Effect.gen(function*() {
          const refused = oddNames.filter((key) => !(subject.takesKey?.(key) ?? true))
          for (const key of refused) {
            const error = yield* Effect.flip(upload(UploadFile.fromText(key, "odd")))
            assert.strictEqual(error._tag, "Rejected", JSON.stringify(key))
          }
          assert.deepStrictEqual(yield* subject.list, [])
        })))

      it.live("refuses hostile keys and writes nothing anywhere", () =>
        onFresh(Effect.gen(function*() {
          for (const key of hostileKeys) {
            const error = yield* Effect.flip(upload(UploadFile.fromText(key, "hostile")))
            assert.instanceOf(error, UploadError.Rejected, JSON.stringify(key))
            assert.strictEqual(error.reason, "InvalidKey", JSON.stringify(key))
          }
          assert.deepStrictEqual(yield* subject.list, [])
        })))

      it.live("stores under keys with empty segments where it says so, and refuses them elsewhere", () =>
        onFresh(Effect.gen(function*() {
          const { capabilities } = yield* Destination.Destination
          if (capabilities.emptySegments === true) {
            yield* storesAll(new Map(withEmptySegments.map((key, i) => [key, pattern(100 + i, i + 1)])))
            return
          }
          for (const key of withEmptySegments) {
            const error = yield* Effect.flip(upload(UploadFile.fromText(key, "no path")))
            assert.strictEqual(error._tag === "Rejected" && error.reason, "InvalidKey", key)
          }
          assert.deepStrictEqual(yield* subject.list, [])
        })))

      it.live("keeps a hostile key from stopping the others", () =>
        onFresh(Effect.gen(function*() {
          const results = yield* resultsOf(["one", "../two", "three"].map((key) => UploadFile.fromText(key, key)))
          assert.deepStrictEqual(
            ["one", "../two", "three"].map((key) => results.get(key)?._tag),
            ["Uploaded", "Failed", "Uploaded"]
          )
          assert.deepStrictEqual([...yield* subject.list].sort(), ["one", "three"])
        })))
    })

    describe("replacing", () => {
      it.live("shows the old object until the new one is whole", () =>
        onFresh(Effect.gen(function*() {
          const [first, second] = [pattern(2 * mib, 1), pattern(3 * mib, 2)]
          yield* upload(UploadFile.fromBytes("key", first))
          const { goOn, reached, source } = yield* gated(second.subarray(0, 2 * mib), second.subarray(2 * mib))
          const fiber = yield* Effect.fork(upload(UploadFile.make("key", source)))
          yield* reached
          assert.isTrue(sameBytes(yield* subject.readBack("key"), first), "while it is replaced")
          yield* goOn
          yield* Fiber.join(fiber)
          assert.isTrue(sameBytes(yield* subject.readBack("key"), second), "afterwards")
          assert.deepStrictEqual(yield* subject.list, ["key"])
        })))

      it.live("replaces a longer object by a shorter one, and by nothing", () =>
        onFresh(Effect.gen(function*() {
          for (const size of [mib + 1, 5, 0]) {
            yield* upload(UploadFile.fromBytes("key", pattern(size, size + 1)))
            assert.isTrue(sameBytes(yield* subject.readBack("key"), pattern(size, size + 1)), String(size))
          }
        })))

      it.live("keeps one whole version of two that are sent at once", () =>
        onFresh(Effect.gen(function*() {
          const versions = [pattern(2 * mib, 1), pattern(2 * mib, 2)]
          const uploads = yield* Effect.forEach(versions, (version) =>
            Effect.gen(function*() {
              const { goOn, reached, source } = yield* gated(version.subarray(0, mib), version.subarray(mib))
              const fiber = yield* Effect.fork(upload(UploadFile.make("key", source)))
              return { fiber, goOn, reached }
            }))
          for (const { reached } of uploads) yield* reached
          for (const { goOn } of uploads) yield* goOn
          for (const { fiber } of uploads) yield* Fiber.join(fiber)
          const stored = yield* subject.readBack("key")
          assert.isTrue(versions.some((version) => sameBytes(stored, version)), "one of the two, whole")
          assert.deepStrictEqual(yield* subject.list, ["key"])
        })))

      it.live("stores at the next try what failed at the first", () =>
        onFresh(Effect.gen(function*() {
          const bytes = pattern(2 * mib)
          let broken = true
          const breaks = Effect.suspend(() =>
            broken ? Effect.fail(new UploadError.SourceUnreadable({ reason: "Failed", detail: "broken" })) : Effect.void
          )
          const file = UploadFile.make(
            "a/key",
            scripted({ size: bytes.length, steps: [bytes.subarray(0, mib), breaks, bytes.subarray(mib)] })
          )
          assert.isTrue(Exit.isFailure(yield* Effect.exit(upload(file))))
          assert.strictEqual(yield* subject.readBack("a/key"), undefined)
          broken = false
          yield* upload(file)
          assert.isTrue(sameBytes(yield* subject.readBack("a/key"), bytes))
          assert.deepStrictEqual(yield* subject.list, ["a/key"])
        })))
    })

    describe("details", () => {
      it.live("keeps what it says it keeps", () =>
        onFresh(Effect.gen(function*() {
          const details = {
            contentType: "text/plain; charset=utf-8",
            metadata: { author: "me" },
            modifiedAt: 1_234_567_890_123
          }
          yield* upload(UploadFile.fromText("small", "text", details))
          yield* upload(UploadFile.make("streamed", ByteSource.generate(2 * mib), details))
          for (const key of ["small", "streamed"]) {
            const kept = subject.details === undefined ? {} : yield* subject.details(key)
            for (const name of subject.keeps ?? []) assert.deepStrictEqual(kept[name], details[name], `${key} ${name}`)
          }
          assert.deepStrictEqual([...yield* subject.list].sort(), ["small", "streamed"])
        })))
    })

    describe("sources that go wrong", () => {
      const half = pattern(mib + 512 * kib)
      const [small, large] = [1000, 3 * mib]

      it.live("refuses a source that ends early", () =>
        Effect.all([
          refuses((key) => UploadFile.make(key, scripted({ size: large, steps: [half] })), [
            "SourceChanged",
            "EndedEarly"
          ]),
          refuses(
            (key) => UploadFile.make(key, scripted({ size: small, steps: [pattern(small - 1)] })),
            ["SourceChanged", "EndedEarly"]
          ),
          refuses((key) => UploadFile.make(key, scripted({ size: small, steps: [] })), ["SourceChanged", "EndedEarly"])
        ]))

      it.live("refuses a source that grows", () =>
        Effect.all([
          refuses(
            (key) => UploadFile.make(key, scripted({ size: half.length, steps: [half, pattern(1)] })),
            ["SourceChanged", "Grew"]
          ),
          refuses(
            (key) => UploadFile.make(key, scripted({ size: small, steps: [pattern(small + 1)] })),
            ["SourceChanged", "Grew"]
          ),
          refuses((key) => UploadFile.make(key, scripted({ size: 0, steps: [pattern(1)] })), ["SourceChanged", "Grew"])
        ]))

      it.live("refuses a source that fails half-way", () => {
        const broken = Effect.fail(new UploadError.SourceUnreadable({ reason: "Failed", detail: "A bad sector." }))
        return Effect.all([
          refuses(
            (key) => UploadFile.make(key, scripted({ size: large, steps: [half, broken, half] })),
            ["SourceUnreadable", "Failed"]
          ),
          refuses(
            (key) => UploadFile.make(key, scripted({ size: small, steps: [pattern(500), broken, pattern(500)] })),
            ["SourceUnreadable", "Failed"]
          ),
          refuses(
            (key) => UploadFile.make(key, scripted({ size: undefined, steps: [half, broken] })),
            ["SourceUnreadable", "Failed"]
          )
        ])
      })

      it.live("refuses a source that is modified while it is read", () => {
        const modified = (size: number) => (key: string) => {
          let version = 1
          const bytes = pattern(size)
          return UploadFile.make(
            key,
            scripted({
              size,
              steps: [bytes.subarray(0, size / 2), Effect.sync(() => version++), bytes.subarray(size / 2)],
              fingerprint: Effect.sync(() => `version ${version}`)
            })
          )
        }
        return Effect.all([
          refuses(modified(small), ["SourceChanged", "Modified"]),
          refuses(modified(large), ["SourceChanged", "Modified"])
        ])
      })
    })

    describe("interruption", () => {
      it.live("leaves nothing behind, and what was there before", () =>
        onFresh(Effect.gen(function*() {
          const old = pattern(1000, 99)
          yield* upload(UploadFile.fromBytes("old", old))
          for (const key of ["old", "new", "some/where/new"]) {
            const { reached, source } = yield* gated(pattern(2 * mib), pattern(mib))
            const fiber = yield* Effect.fork(upload(UploadFile.make(key, source)))
            yield* reached
            assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)), key)
            assert.deepStrictEqual(yield* subject.list, ["old"], key)
          }
          assert.isTrue(sameBytes(yield* subject.readBack("old"), old))
        })))

      it.live("of many at once leaves only what was whole", () =>
        onFresh(
          Effect.gen(function*() {
            const uploader = yield* Uploader.Uploader
            const reached = yield* Deferred.make<void>()
            let waiting = 0
            const stuck = Effect.suspend(() => {
              waiting += 1
              return Effect.zipRight(waiting === 40 ? Deferred.succeed(reached, undefined) : Effect.void, Effect.never)
            })
            const whole = Array.from({ length: 20 }, (_, i) => UploadFile.fromText(`whole-${i}`, `text ${i}`))
            const partial = Array.from(
              { length: 40 },
              (_, i) =>
                UploadFile.make(`partial-${i}`, scripted({ size: 2 * mib, steps: [pattern(mib), pattern(1), stuck] }))
            )
            const finished = yield* Deferred.make<void>()
            let uploaded = 0
            const fiber = yield* Effect.fork(uploader.uploadAll([...whole, ...partial], {
              onResult: () =>
                Effect.suspend(() => ++uploaded === 20 ? Deferred.succeed(finished, undefined) : Effect.void)
            }))
            yield* Deferred.await(reached)
            yield* Deferred.await(finished)
            yield* Fiber.interrupt(fiber)
            assert.deepStrictEqual([...yield* subject.list].sort(), whole.map((file) => file.key).sort())
          }),
          Strategy.unlimited
        ))
    })

    describe("many at once", () => {
      it.live("stores 500 files at once with few of them open", () =>
        onFresh(
          Effect.gen(function*() {
            const before = openFiles().length
            let open = 0
            let looks = 0
            const look = Effect.sync(() => {
              if (looks++ % 20 === 0) open = Math.max(open, openFiles().length - before)
            })
            const contents = new Map(
              Array.from({ length: 500 }, (_, i) => [`${i % 20}/${i}`, pattern(1000 + i, i + 1)])
            )
            const results = yield* resultsOf(Array.from(contents, ([key, bytes]) =>
              UploadFile.make(
                key,
                scripted({
                  size: undefined,
                  steps: [bytes.subarray(0, 500), bytes.subarray(500), look]
                })
              )))
            for (const [key, bytes] of contents) {
              assert.strictEqual(results.get(key)?._tag, "Uploaded", key)
              assert.isTrue(sameBytes(yield* subject.readBack(key), bytes), key)
            }
            assert.strictEqual((yield* subject.list).length, 500)
            // A directory is open while something is written in it.
            assert.isAtMost(open, subject.maxOpenFiles + (subject.maxOpenFiles > 0 ? 20 : 0))
          }),
          Strategy.unlimited
        ))
    })

    looksContract(subject)
    partsContract(subject)
    faultsContract(subject)
  })
}
