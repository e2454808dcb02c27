import { assert, describe, it } from "@effect/vitest"
import { ByteSource, UploadError, UploadFile, UploadList, UploadResult } from "@sluice/core"
import { Duration, Effect, Stream } from "effect"

describe("UploadFile", () => {
  it("takes its size from its source", () => {
    const source = ByteSource.fromText("héllo")
    assert.deepStrictEqual(UploadFile.make("a", source), { key: "a", size: 6, source })
    const unknown = ByteSource.fromStream(Stream.empty)
    assert.deepStrictEqual(UploadFile.make("b", unknown), { key: "b", size: undefined, source: unknown })
  })

  it("carries its optional details", () => {
    const source = ByteSource.fromText("")
    const details: UploadFile.Details = {
      contentType: "text/plain",
      fingerprint: "1:2:3",
      metadata: { a: "b" },
      modifiedAt: 1_700_000_000_000
    }
    assert.deepStrictEqual(UploadFile.make("a", source, details), { key: "a", size: 0, source, ...details })
    assert.deepStrictEqual(UploadFile.make("a", source, {}), { key: "a", size: 0, source })
  })

  it.effect("is made from bytes and from text", () =>
    Effect.gen(function*() {
      const bytes = Uint8Array.of(1, 2, 3)
      const file = UploadFile.fromBytes("a", bytes, { contentType: "x/y" })
      assert.deepStrictEqual([file.key, file.size, file.contentType], ["a", 3, "x/y"])
      assert.strictEqual(yield* file.source.bytes({ offset: 0 }), bytes)
      const text = UploadFile.fromText("b", "hé", { modifiedAt: 5 })
      assert.deepStrictEqual([text.key, text.size, text.modifiedAt], ["b", 3, 5])
      assert.deepStrictEqual(yield* text.source.bytes({ offset: 0 }), new TextEncoder().encode("hé"))
    }))
})

describe("UploadList", () => {
  const failed: UploadResult.Failed = {
    _tag: "Failed",
    file: { key: "dir", size: 99 },
    attempts: 0,
    error: new UploadError.SourceUnreadable({ reason: "Forbidden", detail: "" }),
    duration: Duration.zero
  }
  const unknown = UploadFile.make("unknown", ByteSource.fromStream(Stream.empty))
  const items: ReadonlyArray<UploadList.Item> = [
    UploadFile.fromText("a", "12345"),
    UploadResult.skipped("link", "a link"),
    failed,
    unknown,
    UploadFile.fromText("b", "123")
  ]

  it("knows files from results", () => {
    assert.deepStrictEqual(items.map(UploadList.isFile), [true, false, false, true, true])
  })

  it("sums the known sizes of its files", () => {
    assert.strictEqual(UploadList.knownBytes(items), 8)
    assert.strictEqual(UploadList.knownBytes([]), 0)
  })
})

describe("UploadResult", () => {
  it("is recognized by its tag", () => {
    const file = UploadFile.fromText("a", "")
    const results: ReadonlyArray<UploadResult.UploadResult> = [
      {
        _tag: "Uploaded",
        file,
        attempts: 1,
        bytes: 0,
        resumedBytes: 0,
        duration: Duration.zero,
        etag: undefined,
        checksum: undefined
      },
      UploadResult.skipped("a", "why not"),
      {
        _tag: "Failed",
        file,
        attempts: 1,
        error: new UploadError.Conflict({ detail: "" }),
        duration: Duration.zero
      },
      { _tag: "Interrupted", file, attempts: 1, duration: Duration.zero }
    ]
    assert.deepStrictEqual(results.map(UploadResult.isUploaded), [true, false, false, false])
    assert.deepStrictEqual(results.map(UploadResult.isFailed), [false, false, true, false])
    assert.deepStrictEqual(results[1], {
      _tag: "Skipped",
      file: { key: "a", size: undefined },
      reason: "why not"
    })
  })
})
