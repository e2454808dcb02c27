import { assert, describe, it } from "@effect/vitest"
import { Checksum } from "@sluice/core"
import type { Destination, UploadError } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect, Option, Stream } from "effect"
import { errorName } from "../../../support/ErrorName.js"
import * as TestBody from "../../../support/TestBody.js"
import { pattern, sameBytes } from "../../../support/TestSource.js"

const mib = 1024 * 1024

const made = (options?: Simulated.Options) =>
  Effect.map(Simulated.make(options), ({ destination, network }) => ({
    destination,
    network,
    multipart: destination.multipart!
  }))

const creating = (key: string, checksum?: Checksum.Algorithm): Destination.CreateRequest => ({
  key,
  size: undefined,
  token: "unused",
  checksum,
  contentType: "a/b",
  metadata: { c: "d" }
})

const part = (
  session: Destination.Session,
  number: number,
  bytes: Uint8Array,
  offset = 0,
  options?: TestBody.Options
): Destination.PartRequest => ({ ...session, number, offset, total: undefined, body: TestBody.make(bytes, options) })

const completing = (
  session: Destination.Session,
  parts: ReadonlyArray<Destination.StoredPart>,
  checksum?: Checksum.Checksum
): Destination.CompleteRequest => ({
  ...session,
  parts,
  size: parts.reduce((sum, { size }) => sum + size, 0),
  checksum,
  modifiedAt: 5
})

const failure = <A>(effect: Effect.Effect<A, UploadError.UploadError>) => Effect.map(Effect.flip(effect), errorName)

const millisOf = <A, E>(effect: Effect.Effect<A, E>) => Effect.map(VirtualClock.run(effect), ({ millis }) => millis)

describe("Simulated in parts", () => {
  it.effect("keeps sessions, and makes their parts objects", () =>
    Effect.gen(function*() {
      const { destination, multipart, network } = yield* made({ observe: true })
      assert.isFalse(multipart.ownIds)
      assert.deepStrictEqual(multipart.limits, Simulated.defaultParts)
      const [first, second] = [yield* multipart.create(creating("one")), yield* multipart.create(creating("two"))]
      assert.deepStrictEqual([first, second], ["upload-1", "upload-2"])
      const one = { key: "one", uploadId: first }
      const bytes = pattern(3 * mib + 5)
      const cut = (n: number) => bytes.subarray((n - 1) * mib, n * mib)
      const parts: Array<Destination.StoredPart> = []
      for (const n of [4, 2, 1, 3]) parts[n - 1] = yield* multipart.uploadPart(part(one, n, cut(n), (n - 1) * mib))
      const again = yield* multipart.uploadPart(part(one, 2, cut(2), mib, { inOnePiece: true }))
      assert.notStrictEqual(again.etag, parts[1]!.etag)
      parts[1] = again
      assert.deepStrictEqual(yield* multipart.listParts(one), parts)
      assert.deepStrictEqual(yield* network.sessions, [
        { ...one, parts },
        { key: "two", uploadId: second, parts: [] }
      ])
      assert.deepStrictEqual(yield* destination.head!("one"), Option.none())
      const stored = yield* multipart.complete(completing(one, parts))
      assert.strictEqual(stored.size, bytes.length)
      assert.isDefined(stored.etag)
      const object = network.objects.get("one")!
      assert.isTrue(sameBytes(object.bytes, bytes))
      assert.deepStrictEqual([object.contentType, object.metadata, object.modifiedAt], ["a/b", { c: "d" }, 5])
      const head = Option.getOrThrow(yield* destination.head!("one"))
      assert.deepStrictEqual(head, { size: bytes.length, etag: stored.etag, checksum: undefined, modifiedAt: 5 })
      assert.isTrue(sameBytes(yield* TestBody.collect(destination.read!("one")), bytes))
      assert.deepStrictEqual(Array.from(yield* Stream.runCollect(destination.list!)), [{ key: "one", ...head }])
      assert.strictEqual(yield* failure(Stream.runDrain(destination.read!("two"))), "Rejected NotFound")
      yield* multipart.abort({ key: "two", uploadId: second })
      yield* multipart.abort({ key: "two", uploadId: second })
      assert.deepStrictEqual(yield* network.sessions, [])
      assert.deepStrictEqual([yield* network.completed, yield* network.aborted], [1, 1])
      for (
        const verb of [
          Effect.asVoid(multipart.uploadPart(part(one, 1, cut(1)))),
          Effect.asVoid(multipart.listParts(one)),
          Effect.asVoid(multipart.complete(completing(one, parts))),
          Effect.asVoid(multipart.listParts({ key: "two", uploadId: second })),
          Effect.asVoid(multipart.listParts({ key: "two", uploadId: first }))
        ]
      ) assert.strictEqual(yield* failure(verb), "SessionGone")
    }))

  it.effect("keeps sizes only, unless it is observed", () =>
    Effect.gen(function*() {
      const { destination, multipart, network } = yield* made()
      assert.isUndefined(destination.head)
      assert.isUndefined(destination.capabilities.checksums)
      const session = { key: "key", uploadId: yield* multipart.create(creating("key")) }
      const parts = [
        yield* multipart.uploadPart(part(session, 1, pattern(mib), 0, { inOnePiece: true })),
        yield* multipart.uploadPart(part(session, 2, pattern(mib), mib))
      ]
      assert.deepStrictEqual(parts.map(({ checksum, size }) => [size, checksum]), [[mib, undefined], [mib, undefined]])
      assert.strictEqual((yield* multipart.complete(completing(session, parts))).size, 2 * mib)
      assert.deepStrictEqual([yield* network.completed, yield* network.sessions, network.objects.size], [1, [], 0])
      assert.isUndefined((yield* made({ parts: false })).destination.multipart)
    }))

  it.effect("does not complete missing parts", () =>
    Effect.gen(function*() {
      const { multipart, network } = yield* made({ parts: { minSize: 10, multiple: 5, maxObjectSize: 100 } })
      const session = { key: "key", uploadId: yield* multipart.create(creating("key")) }
      const stored = (n: number, size: number) => multipart.uploadPart(part(session, n, pattern(size)))
      const [one, two, three] = [yield* stored(1, 10), yield* stored(2, 7), yield* stored(3, 90)]
      const attempts: ReadonlyArray<readonly [Destination.CompleteRequest, string]> = [
        [completing(session, [one, { number: 4, size: 5 }]), "IntegrityMismatch Size"],
        [completing(session, [one, { ...two, etag: "\"other\"" }]), "IntegrityMismatch Size"],
        [{ ...completing(session, [one, two]), size: 18 }, "IntegrityMismatch Size"],
        [completing(session, [two, one]), "Rejected Unsupported"],
        [completing(session, [one, two, three]), "Rejected TooLarge"],
        [completing(session, [two, three]), "Rejected Unsupported"]
      ]
      for (const [request, expected] of attempts) {
        assert.strictEqual(yield* failure(multipart.complete(request)), expected)
      }
      assert.strictEqual((yield* network.sessions).length, 1)
      yield* multipart.complete(completing(session, [one, two]))
    }))

  it.effect("refuses parts beyond its limits", () =>
    Effect.gen(function*() {
      const { multipart } = yield* made({ parts: { maxSize: 10, maxCount: 3, maxObjectSize: 25 } })
      const session = { key: "key", uploadId: yield* multipart.create(creating("key")) }
      for (const number of [0, -1, 1.5, 4, NaN]) {
        assert.strictEqual(
          yield* failure(multipart.uploadPart(part(session, number, pattern(1)))),
          "Rejected Unsupported"
        )
      }
      assert.strictEqual(yield* failure(multipart.uploadPart(part(session, 1, pattern(11)))), "Rejected TooLarge")
      assert.strictEqual(yield* failure(multipart.create({ ...creating("key"), size: 26 })), "Rejected TooLarge")
    }))

  it.effect("accepts parts only in order, if configured", () =>
    Effect.gen(function*() {
      const { multipart } = yield* made({ parts: { inOrder: true }, observe: true })
      const session = { key: "key", uploadId: yield* multipart.create(creating("key")) }
      const send = (n: number, offset: number) => multipart.uploadPart(part(session, n, pattern(10), offset))
      assert.strictEqual(yield* failure(send(2, 10)), "Conflict")
      yield* send(1, 0)
      assert.strictEqual(yield* failure(send(2, 11)), "Conflict")
      yield* send(1, 0)
      yield* send(2, 10)
      assert.strictEqual(yield* failure(send(1, 0)), "Conflict")
      assert.deepStrictEqual((yield* multipart.listParts(session))!.map(({ number }) => number), [1, 2])
    }))

  it.effect("takes the time of a request for each verb, and the time of its bytes", () =>
    Effect.gen(function*() {
      const { multipart } = yield* made({ requestLatency: "100 millis", latencyPerByte: "1 millis" })
      const session = { key: "key", uploadId: "upload-1" }
      assert.strictEqual(yield* millisOf(multipart.create(creating("key"))), 100)
      assert.strictEqual(yield* millisOf(multipart.uploadPart(part(session, 1, pattern(1_000)))), 1_100)
      assert.strictEqual(
        yield* millisOf(Effect.forEach([1, 2, 3], (n) => multipart.uploadPart(part(session, n, pattern(n * 1_000))), {
          concurrency: 3
        })),
        3_100
      )
      assert.strictEqual(yield* millisOf(multipart.listParts(session)), 100)
      const parts = (yield* VirtualClock.run(multipart.listParts(session))).value!
      assert.strictEqual(yield* millisOf(multipart.complete(completing(session, parts))), 100)
      assert.strictEqual(yield* millisOf(multipart.abort(session)), 100)
      const shared = yield* made({ sharedBytesPerSecond: 1_000 })
      const id = yield* shared.multipart.create(creating("key"))
      const millis = yield* millisOf(
        Effect.forEach([1, 2], (n) =>
          shared.multipart.uploadPart(part({ key: "key", uploadId: id }, n, pattern(5_000))), {
          concurrency: 2
        })
      )
      assert.isAtMost(Math.abs(millis - 10_000), 200)
    }))

  it.effect("fails any verb as often as configured, without changing anything", () =>
    Effect.gen(function*() {
      const { multipart, network } = yield* made({ failureRate: 1, seed: 1 })
      const session = { key: "key", uploadId: "upload-1" }
      const verbs = [
        Effect.asVoid(multipart.create(creating("key"))),
        Effect.asVoid(multipart.listParts(session)),
        Effect.asVoid(multipart.complete(completing(session, []))),
        multipart.abort(session)
      ]
      for (const verb of verbs) assert.strictEqual(yield* failure(verb), "Transient Connection")
      assert.deepStrictEqual(yield* network.sessions, [])
      const flaky = yield* made({ failureRate: 0.5, seed: "parts" })
      const uploadId = yield* Effect.retry(flaky.multipart.create(creating("key")), { times: 100 })
      assert.strictEqual(uploadId, "upload-1")
      const outcomes = yield* Effect.forEach(Array.from({ length: 200 }, (_, i) => i + 1), (n) =>
        Effect.isSuccess(flaky.multipart.uploadPart(part(session, n, pattern(10)))))
      const stored = outcomes.filter((outcome) =>
        outcome
      ).length
      assert.isAtMost(Math.abs(stored - 100), 30)
      assert.lengthOf((yield* flaky.network.sessions)[0]!.parts, stored)
    }))

  it.effect("throttles parts with everything else", () =>
    Effect.gen(function*() {
      const { multipart, network } = yield* made({ maxInFlight: 2, requestLatency: "1 seconds" })
      const session = { key: "key", uploadId: (yield* VirtualClock.run(multipart.create(creating("key")))).value }
      const outcomes = yield* VirtualClock.run(Effect.forEach(
        [1, 2, 3, 4],
        (n) => Effect.either(multipart.uploadPart(part(session, n, pattern(10)))),
        { concurrency: "unbounded" }
      ))
      assert.deepStrictEqual(
        outcomes.value.map((outcome) => outcome._tag === "Left" ? outcome.left._tag : "stored"),
        ["stored", "stored", "Throttled", "Throttled"]
      )
      assert.deepStrictEqual([yield* network.inFlight, yield* network.peakInFlight], [0, 2])
    }))

  it.effect("reports the checksums of what it has stored, including flipped bits", () =>
    Effect.gen(function*() {
      const bytes = [pattern(1_000, 1), pattern(500, 2)]
      const whole = new Uint8Array([...bytes[0]!, ...bytes[1]!])
      for (const algorithm of Checksum.algorithms) {
        let flip = false
        const { destination, multipart, network } = yield* made({
          observe: true,
          corrupt: ({ key, number }) => flip && key === "key" && (number === undefined || number === 2)
        })
        assert.isTrue(destination.capabilities.checksums?.includes(algorithm))
        const send = Effect.gen(function*() {
          const session = { key: "key", uploadId: yield* multipart.create(creating("key", algorithm)) }
          const parts = yield* Effect.forEach(bytes, (block, i) =>
            multipart.uploadPart(part(session, i + 1, block, i * 1_000)))
          const sent = Checksum.isCombinable(algorithm)
            ? Checksum.of(algorithm, whole)
            : Checksum.composite(algorithm, bytes.map((block) => ({ checksum: Checksum.of(algorithm, block) })))!
          return { parts, sent, stored: yield* multipart.complete(completing(session, parts, sent)) }
        })
        const good = yield* send
        assert.deepStrictEqual(
          good.parts.map(({ checksum }) =>
            checksum
          ),
          bytes.map((b) => Checksum.of(algorithm, b))
        )
        assert.deepStrictEqual(good.stored.checksum, good.sent)
        flip = true
        const bad = yield* send
        assert.deepStrictEqual(bad.parts[0]!.checksum, good.parts[0]!.checksum)
        assert.notDeepEqual(bad.parts[1]!.checksum, good.parts[1]!.checksum)
        assert.notDeepEqual(bad.stored.checksum, bad.sent)
        assert.strictEqual(network.objects.get("key")!.bytes.filter((byte, i) => byte !== whole[i]).length, 1)
        const checksum = Checksum.of(algorithm, whole)
        const put = (key: string) => destination.put({ key, body: TestBody.make(whole, { checksum }) })
        assert.deepStrictEqual((yield* put("other")).checksum, checksum)
        assert.notDeepEqual((yield* put("key")).checksum, checksum)
      }
    }))
})
