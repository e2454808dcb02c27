import { assert, describe, it } from "@effect/vitest"
import * as FilesNode from "@sluice/core/FilesNode"
import { Effect, Stream } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { patched } from "../../support/PatchedFs.js"
import * as TemporaryDirectory from "../../support/TemporaryDirectory.js"
import { pattern, sameBytes } from "../../support/TestSource.js"

describe("a file whose reads return fewer bytes than requested", () => {
  it.scopedLive("is read to its end, in full blocks", () =>
    Effect.gen(function*() {
      const bytes = pattern(3_000_001)
      const filePath = path.join(yield* TemporaryDirectory.make, "file")
      fs.writeFileSync(filePath, bytes)
      const { source } = yield* FilesNode.file(filePath)
      yield* patched("read", (real) => (descriptor, buffer, at, length, position, done) =>
        real(descriptor, buffer, at, Math.ceil(Number(length) / 2), position, done))
      const blocks = Array.from(yield* Stream.runCollect(source.read({ offset: 0, length: bytes.length })))
      assert.isTrue(sameBytes(Buffer.concat(blocks), bytes))
      // 256 KiB each.
      assert.isAtMost(blocks.length, Math.ceil(bytes.length / (256 * 1024)))
      const middle = Array.from(yield* Stream.runCollect(source.read({ offset: 1_000, length: 100_000 })))
      assert.isTrue(sameBytes(Buffer.concat(middle), bytes.subarray(1_000, 101_000)))
    }))
})
