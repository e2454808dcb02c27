import { assert, describe, it } from "@effect/vitest"
import { ByteSource, Checksum, UploadError, UploadFile, UploadResult } from "@sluice/core"
import type { Destination, UploadList } from "@sluice/core"
import { Deferred, Effect, Fiber, Option, Stream, TestClock } from "effect"
import type * as Compared from "../../src/verify/Compared.js"
import * as Verification from "../../src/verify/Verification.js"

const encode = (text: string) => new TextEncoder().encode(text)

const tag = { version: 1 } as const

/** A destination that contains texts, and reports their checksums if configured. */
const shelf = (
  texts: Record<string, string>,
  more: Partial<Destination.Destination["Type"]> & { readonly checksum?: Checksum.Algorithm | undefined } = {}
): Destination.Destination["Type"] => {
  const headOf = (text: string): Destination.Head => ({
    size: encode(text).length,
    checksum: more.checksum === undefined ? undefined : Checksum.of(more.checksum, encode(text))
  })
  return {
    name: "shelf",
    capabilities: { maxPutSize: Infinity, unknownSize: true },
    put: () => Effect.dieMessage("Nothing is put by who compares."),
    head: (key) => Effect.sync(() => Option.map(Option.fromNullable(texts[key]), headOf)),
    read: (key) => Stream.fromIterable(texts[key] ?? "").pipe(Stream.map(encode)),
    list: Stream.fromIterable(Object.entries(texts)).pipe(Stream.map(([key, text]) => ({ key, ...headOf(text) }))),
    ...more
  }
}

const files = (texts: Record<string, string>): ReadonlyArray<UploadList.Item> =>
  Object.entries(texts).map(([key, text]) => UploadFile.fromText(key, text))

const compare = (
  items: Verification.Options["items"],
  destination: Destination.Destination["Type"],
  options: Partial<Verification.Options> = {}
) =>
  Effect.gen(function*() {
    const findings: Array<Compared.Finding> = []
    const comparison = yield* Verification.make({
      items,
      destination,
      concurrency: 4,
      isExtra: undefined,
      onFinding: (finding) => Effect.sync(() => void findings.push(finding)),
      ...options
    })
    yield* comparison.run
    return { findings, report: yield* comparison.report, progress: yield* comparison.currentProgress }
  })

const found = (...results: ReadonlyArray<Compared.Finding>) => results

const unreadable = (key: string, side: "Source" | "Destination", error: UploadError.UploadError) =>
  ({ _tag: "Unreadable", ...tag, key, side, error: UploadError.summarize(error) }) as const

describe("Verification", () => {
  it.effect("reads a source that claims to be empty, and detects one that is not", () =>
    Effect.gen(function*() {
      const says = (text: string): UploadFile.UploadFile => ({
        ...UploadFile.fromText(text === "" ? "true" : "untrue", text),
        size: 0
      })
      const { findings } = yield* compare([says(""), says("content")], shelf({ true: "", untrue: "" }), {
        concurrency: 1
      })
      assert.deepStrictEqual(
        findings,
        found(
          { _tag: "Same", ...tag, key: "true", size: 0, by: "Reading" },
          { _tag: "Different", ...tag, key: "untrue", reason: "Content", size: 0, storedSize: 0 }
        )
      )
    }))

  it.effect("finds what is missing, different, extra and the same", () =>
    Effect.gen(function*() {
      const here = files({ same: "same", missing: "m", longer: "long", flipped: "abcd", empty: "" })
      const there = shelf({ same: "same", longer: "longer", flipped: "abCd", empty: "", extra: "x" })
      const isExtra = (key: string) => Effect.succeed(key === "extra")
      const { findings, progress, report } = yield* compare(here, there, { isExtra, concurrency: 1 })
      assert.deepStrictEqual(
        findings,
        found(
          { _tag: "Same", ...tag, key: "same", size: 4, by: "Reading" },
          { _tag: "Missing", ...tag, key: "missing", size: 1 },
          { _tag: "Different", ...tag, key: "longer", reason: "Size", size: 4, storedSize: 6 },
          { _tag: "Different", ...tag, key: "flipped", reason: "Content", size: 4, storedSize: 4 },
          { _tag: "Same", ...tag, key: "empty", size: 0, by: "Reading" },
          { _tag: "Extra", ...tag, key: "extra", size: 1 }
        )
      )
      assert.deepStrictEqual(report, {
        _tag: "Verification",
        ...tag,
        ended: "Completed",
        files: { total: 5, same: 2, missing: 1, different: 2, extra: 1, unreadable: 0, skipped: 0 },
        bytes: { total: 13, compared: 6 },
        sameBySize: 0,
        extras: "LookedFor",
        durationMillis: 0,
        throughputBytesPerSecond: 0
      })
      assert.deepInclude(progress, { listing: false, filesFound: 5, filesUploaded: 2, filesFailed: 3, inFlight: 0 })
      assert.deepInclude(progress, { bytesFound: 13, bytesUploaded: 13, bytesInFlight: 0 })
    }))

  it.effect("compares checksums if there are any, without reading the destination", () =>
    Effect.gen(function*() {
      for (const checksum of Checksum.algorithms) {
        const there = shelf({ same: "same", flipped: "abCd" }, {
          checksum,
          read: () => Stream.dieMessage("It need not be read.")
        })
        const { findings } = yield* compare(files({ same: "same", flipped: "abcd" }), there, { concurrency: 1 })
        assert.deepStrictEqual(
          findings,
          found(
            { _tag: "Same", ...tag, key: "same", size: 4, by: "Checksum" },
            { _tag: "Different", ...tag, key: "flipped", reason: "Content", size: 4, storedSize: 4 }
          )
        )
      }
    }))

  it.effect("reads if a checksum covers only parts, and says so if it cannot", () =>
    Effect.gen(function*() {
      const composite = () => Effect.succeedSome({ size: 4, checksum: { algorithm: "md5", value: "AAAA-2" } as const })
      const { findings } = yield* compare(files({ a: "same" }), shelf({ a: "same" }, { head: composite }))
      assert.deepStrictEqual(findings, found({ _tag: "Same", ...tag, key: "a", size: 4, by: "Reading" }))
      const { report } = yield* compare(files({ a: "same" }), shelf({ a: "same" }, { read: undefined }))
      assert.deepInclude(report.files, { same: 0, unreadable: 1 })
      assert.isFalse(Verification.isPossible(shelf({}, { head: undefined })))
      const unlisted = yield* compare([], shelf({}, { list: undefined }), { isExtra: () => Effect.succeed(true) })
      assert.strictEqual(unlisted.report.extras, "NotListed")
      assert.strictEqual((yield* compare([], shelf({}))).report.extras, "NotLookedFor")
    }))

  it.effect("reports which side cannot be read", () =>
    Effect.gen(function*() {
      const gone = new UploadError.SourceUnreadable({ reason: "NotFound", detail: "gone" })
      const forbidden = new UploadError.Rejected({ reason: "Forbidden", detail: "forbidden" })
      const source: ByteSource.ByteSource = {
        ...ByteSource.fromText("abcd"),
        read: () => Stream.fail(gone),
        bytes: () => Effect.fail(gone)
      }
      const items = [
        UploadFile.make("a", source),
        UploadFile.fromText("b", "abcd"),
        UploadResult.skipped("c", "A link.")
      ]
      const there = shelf({ a: "abcd", b: "abcd" }, {
        read: (key) => key === "b" ? Stream.fail(forbidden) : Stream.make(encode("abcd")),
        list: Stream.fail(forbidden)
      })
      const { findings, report } = yield* compare(items, there, {
        concurrency: 1,
        isExtra: () => Effect.succeed(true)
      })
      assert.deepStrictEqual(
        findings,
        found(
          unreadable("a", "Source", gone),
          unreadable("b", "Destination", forbidden),
          { _tag: "Skipped", ...tag, key: "c", reason: "A link." },
          { _tag: "Unlisted", ...tag, error: UploadError.summarize(forbidden) }
        )
      )
      assert.deepInclude(report.files, { total: 3, unreadable: 2, skipped: 1 })
    }))

  it.effect("does not call a file different that changes during the comparison", () =>
    Effect.gen(function*() {
      const source = { ...ByteSource.fromText("new!"), fingerprint: Effect.succeed("2") }
      const { findings } = yield* compare(
        [UploadFile.make("a", source, { fingerprint: "1" })],
        shelf({ a: "old!" })
      )
      assert.deepStrictEqual(findings.map(({ _tag }) => _tag), ["Unreadable"])
    }))

  it.effect("asks again when the destination fails for the moment, and counts bytes once", () =>
    Effect.gen(function*() {
      const down = new UploadError.Transient({ reason: "Unavailable", detail: "down" })
      let asked = 0
      const there = shelf({ a: "abcd" }, {
        read: () =>
          Stream.suspend(() => {
            asked += 1
            return asked < 3 ? Stream.concat(Stream.make(encode("ab")), Stream.fail(down)) : Stream.make(encode("abcd"))
          })
      })
      const fiber = yield* Effect.fork(compare(files({ a: "abcd" }), there))
      yield* TestClock.adjust("1 minute")
      const { findings, progress } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(findings, found({ _tag: "Same", ...tag, key: "a", size: 4, by: "Reading" }))
      assert.deepInclude(progress, { bytesUploaded: 4, bytesInFlight: 0 })
    }))

  it.effect("gives up on a destination that says nothing", () =>
    Effect.gen(function*() {
      for (const silent of [{ head: () => Effect.never }, { read: () => Stream.never }]) {
        const fiber = yield* Effect.fork(compare(files({ a: "abcd" }), shelf({ a: "abcd" }, silent)))
        yield* TestClock.adjust("5 minutes")
        const { findings } = yield* Fiber.join(fiber)
        assert.deepStrictEqual(findings.map(({ _tag }) => _tag), ["Unreadable"])
      }
    }))

  it.effect("compares no more files at once than it may, and reports what it did when interrupted", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let now = 0
      let most = 0
      const there = shelf({}, {
        head: () =>
          Effect.acquireUseRelease(
            Effect.sync(() => {
              now += 1
              most = Math.max(most, now)
            }),
            () => Effect.as(Deferred.await(gate), Option.none()),
            () => Effect.sync(() => now -= 1)
          )
      })
      const items = Stream.range(1, 1_000).pipe(Stream.map((i) => UploadFile.fromText(`${i}`, "text")))
      const comparison = yield* Verification.make({
        items,
        destination: there,
        concurrency: 3,
        isExtra: undefined,
        onFinding: () => Effect.void
      })
      const fiber = yield* Effect.fork(comparison.run)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(now, 3)
      assert.deepInclude(yield* comparison.currentProgress, { listing: false, filesFound: 1_000, inFlight: 3 })
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([now, most], [0, 3])
      assert.deepInclude(yield* comparison.report, { ended: "Interrupted" })
    }))
})
