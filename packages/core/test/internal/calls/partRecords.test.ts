import { assert, describe, it } from "@effect/vitest"
import { Checksum, UploadError } from "@sluice/core"
import type { Destination } from "@sluice/core"
import type * as PartPlan from "../../../src/internal/calls/partPlan.js"
import * as PartRecords from "../../../src/internal/calls/partRecords.js"

const checksumOf = (text: string, algorithm: Checksum.Algorithm = "crc32c") =>
  Checksum.of(algorithm, new TextEncoder().encode(text))

const sent = { size: 10, checksum: undefined, modifiedAt: undefined }

describe("an object found at the key of an upload", () => {
  it("is not the uploaded one if its size differs, whatever else matches", () => {
    const checksum = checksumOf("a")
    assert.isFalse(
      PartRecords.isSame({ size: 11, etag: "\"e\"", checksum, modifiedAt: 5 }, {
        size: 10,
        etag: "\"e\"",
        checksum,
        modifiedAt: 5
      })
    )
    assert.isFalse(PartRecords.isSame({ size: 10, etag: "\"e\"" }, { ...sent, size: undefined, etag: "\"e\"" }))
  })

  it("is the uploaded one if the etag matches; a different etag proves nothing", () => {
    assert.isTrue(PartRecords.isSame({ size: 10, etag: "\"ABC\"" }, { ...sent, etag: "\"abc\"" }))
    assert.isUndefined(PartRecords.isSame({ size: 10, etag: "\"abd\"" }, { ...sent, etag: "\"abc\"" }))
    assert.isUndefined(PartRecords.isSame({ size: 10 }, { ...sent, etag: "\"abc\"" }))
  })

  it("is judged by a checksum of the same algorithm rather than by its time", () => {
    const times = { size: 10, modifiedAt: 5 }
    const found = (text: string, algorithm?: Checksum.Algorithm, modifiedAt = 5) =>
      PartRecords.isSame({ ...times, checksum: checksumOf(text, algorithm) }, {
        ...times,
        modifiedAt,
        checksum: checksumOf("a")
      })
    assert.isTrue(found("a", "crc32c", 9_000))
    assert.isFalse(found("b"))
    assert.isTrue(found("b", "md5"))
    assert.isFalse(found("a", "md5", 9_000))
    assert.isTrue(PartRecords.isSame(times, { ...times, checksum: checksumOf("a") }))
  })

  it("has the same time within two seconds", () => {
    for (
      const [modifiedAt, expected] of [[1_000, true], [2_999, true], [3_000, false], [-999, true], [-1_000, false]]
    ) {
      const at = modifiedAt as number
      assert.strictEqual(
        PartRecords.isSame({ size: 10, modifiedAt: at }, { ...sent, modifiedAt: 1_000 }),
        expected as boolean,
        `${at}`
      )
    }
    assert.isUndefined(PartRecords.isSame({ size: 10, modifiedAt: 5 }, sent))
    assert.isUndefined(PartRecords.isSame({ size: 10 }, { ...sent, modifiedAt: 5 }))
  })
})

describe("what the destination reports as stored", () => {
  const problem = (stored: Destination.Stored, bytes = 10, checksum?: Checksum.Checksum) =>
    PartRecords.mismatch(stored, bytes, 10, checksum)?.message

  it("must have the size of what was sent", () => {
    assert.isUndefined(problem({}))
    assert.isUndefined(problem({ size: 10 }))
    assert.include(problem({ size: 9 }), "9 of 10 bytes")
    assert.include(problem({ size: 11 }), "10 of 10 bytes")
    assert.include(problem({}, 8), "8 of 10 bytes")
    assert.include(problem({ size: 10 }, 8), "8 of 10 bytes")
  })

  it("must have its checksum, if both sides know one of the same algorithm", () => {
    const own = checksumOf("a")
    assert.isUndefined(problem({ checksum: own }, 10, own))
    assert.isUndefined(problem({ checksum: checksumOf("b") }))
    assert.isUndefined(problem({}, 10, own))
    assert.isUndefined(problem({ checksum: checksumOf("b", "md5") }, 10, own))
    assert.include(problem({ checksum: checksumOf("b") }, 10, own), own.value)
  })
})

describe("the parts known to both sides", () => {
  const plan: PartPlan.PartPlan = { size: 25, partSize: 10, count: 3 }
  const part = (number: number, size: number, etag?: string): Destination.StoredPart => ({ number, size, etag })
  const noted = (...parts: ReadonlyArray<Destination.StoredPart>) => new Map(parts.map((part) => [part.number, part]))
  const numbers = (...args: Parameters<typeof PartRecords.reconcile>) => [...PartRecords.reconcile(...args).keys()]

  it("have the planned size and matching etags", () => {
    const own = noted(part(1, 10, "\"a\""), part(2, 9, "b"), part(3, 5, "c"))
    assert.deepStrictEqual(numbers(plan, own, undefined, false), [1, 3])
    assert.deepStrictEqual(numbers(plan, own, [part(1, 10, "a"), part(3, 5, "d")], false), [1])
    assert.deepStrictEqual(numbers(plan, own, [part(1, 9, "a"), part(3, 5, "c")], false), [3])
    assert.deepStrictEqual(numbers(plan, own, [], false), [])
    assert.deepStrictEqual(numbers(plan, noted(), [part(1, 10, "a")], false), [])
  })

  it("are those that the stored bytes complete, if parts come in order", () => {
    for (const [bytes, expected] of [[0, []], [9, []], [10, [1]], [19, [1]], [20, [1, 2]], [25, [1, 2, 3]], [26, []]]) {
      const persisted = PartRecords.listed(bytes as number)
      assert.deepStrictEqual(numbers(plan, noted(), persisted, true), expected as Array<number>, `${bytes}`)
    }
    assert.deepStrictEqual(numbers(plan, noted(part(1, 10), part(3, 5)), undefined, true), [1])
    assert.deepStrictEqual(PartRecords.listed(0), [])
    assert.strictEqual(PartRecords.persistedBytes([part(1, 10), part(2, 4)], 7), 14)
    assert.strictEqual(PartRecords.persistedBytes(undefined, 7), 7)
    assert.deepStrictEqual(PartRecords.inOrder(noted(part(3, 5), part(1, 10))).map(({ number }) => number), [1, 3])
  })
})

describe("an upload that has failed", () => {
  const detail = "d"
  const rejected = (reason: UploadError.Rejected["reason"]) => new UploadError.Rejected({ reason, detail })

  it("can be resumed unless its session is gone, or its bytes are wrong", () => {
    const cases: ReadonlyArray<readonly [UploadError.UploadError, boolean]> = [
      [new UploadError.Transient({ reason: "Connection", detail }), true],
      [rejected("Forbidden"), true],
      [rejected("TooLarge"), true],
      [new UploadError.SessionGone({ detail }), false],
      [new UploadError.IntegrityMismatch({ reason: "Size", detail }), false],
      [new UploadError.SourceChanged({ reason: "Modified", detail }), false],
      [new UploadError.SourceUnreadable({ reason: "Stalled", detail }), true]
    ]
    for (const [error, expected] of cases) assert.strictEqual(PartRecords.canGoOn(error), expected, error._tag)
  })

  it("can be completed later if people can repair the cause", () => {
    for (const reason of ["Forbidden", "NoSpace", "Redirected", "Unauthorized"] as const) {
      assert.isTrue(PartRecords.canComplete(rejected(reason)), reason)
    }
    for (const reason of ["InvalidKey", "NotFound", "TooLarge", "Unexpected", "Unsupported"] as const) {
      assert.isFalse(PartRecords.canComplete(rejected(reason)), reason)
    }
    assert.isTrue(PartRecords.canComplete(new UploadError.Transient({ reason: "Connection", detail })))
    assert.isFalse(PartRecords.canComplete(new UploadError.SessionGone({ detail })))
  })

  it("may start over if the destination does not list its parts", () => {
    for (const reason of ["Forbidden", "Unexpected", "Unsupported"] as const) {
      assert.isTrue(PartRecords.mayBeginAgain(rejected(reason)), reason)
    }
    for (const reason of ["NotFound", "Unauthorized"] as const) {
      assert.isFalse(PartRecords.mayBeginAgain(rejected(reason)), reason)
    }
    assert.isFalse(PartRecords.mayBeginAgain(new UploadError.Transient({ reason: "Connection", detail })))
  })
})
