import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import * as Metadata from "../../../../src/destinations/internal/s3/metadata.js"
import * as Provider from "../../../../src/destinations/internal/s3/provider.js"

const profile = (maxMetadata: number): Provider.Profile => ({ ...Provider.of("other"), maxMetadata })

const headersOf = (metadata: Readonly<Record<string, string>>, most = 2_048) =>
  Metadata.make({}, profile(most))({ contentType: undefined, metadata, modifiedAt: undefined })

const valueOf = (value: string): string => Either.getOrThrow(headersOf({ a: value }))["x-amz-meta-a"]!

const word = (text: string): string => `=?UTF-8?B?${Buffer.from(text).toString("base64")}?=`

describe("metadata of S3", () => {
  it("is encoded in words of at most 75 characters if it is not printable, and no character is split", () => {
    for (
      const [text, words] of [
        ["ü".repeat(22), ["ü".repeat(22)]],
        [`${"ü".repeat(22)}x`, [`${"ü".repeat(22)}x`]],
        ["ü".repeat(23), ["ü".repeat(22), "ü"]],
        [`${"ü".repeat(22)}xx`, [`${"ü".repeat(22)}x`, "x"]],
        [` ${"x".repeat(90)}`, [` ${"x".repeat(44)}`, "x".repeat(45), "x"]]
      ] as const
    ) {
      assert.strictEqual(valueOf(text), words.map(word).join(" "))
      for (const part of valueOf(text).split(" ")) assert.isAtMost(part.length, 75)
    }
    assert.strictEqual(valueOf("x".repeat(90)), "x".repeat(90))
  })

  it("may reach the server's limit, names and values together", () => {
    assert.isTrue(Either.isRight(headersOf({ ab: "1234", c: "567" }, 10)))
    assert.strictEqual(
      Either.match(headersOf({ ab: "1234", c: "567" }, 9), { onLeft: ({ reason }) => reason, onRight: () => "" }),
      "TooLarge"
    )
  })

  it("keeps the modification time in seconds, with milliseconds", () => {
    const said = Metadata.make({}, profile(2_048))({
      contentType: undefined,
      metadata: undefined,
      modifiedAt: 1_700_000_000_123
    })
    assert.strictEqual(Either.getOrThrow(said)[Metadata.mtime], "1700000000.123")
    assert.strictEqual(Metadata.modifiedAt({ [Metadata.mtime]: "1700000000.123" }), 1_700_000_000_123)
    assert.strictEqual(Metadata.modifiedAt({ [Metadata.mtime]: "0" }), 0)
    for (const none of [{}, { [Metadata.mtime]: "" }, { [Metadata.mtime]: "yesterday" }]) {
      assert.isUndefined(Metadata.modifiedAt(none))
    }
  })
})
