import { assert, describe, it } from "@effect/vitest"
import * as FilesNode from "@sluice/core/FilesNode"
import { Effect, Option } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as TemporaryDirectory from "../../support/TemporaryDirectory.js"

const summary = (entry: (key: string) => Effect.Effect<Option.Option<unknown>>, key: string) =>
  Effect.map(entry(key), (found) => {
    const item = Option.getOrUndefined(found) as { readonly _tag?: string; readonly error?: Error } | undefined
    return item?._tag === undefined ? "file" : `${item._tag} ${item.error?.message ?? ""}`
  })

describe("an entry that is looked up", () => {
  it.scopedLive("may have a replacement character in its name", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      for (const name of ["a", "\ufffd", "b\ufffd"]) fs.writeFileSync(path.join(root, name), "x")
      const entry = yield* FilesNode.entries(root)
      for (const key of ["a", "\ufffd", "b\ufffd"]) assert.strictEqual(yield* summary(entry, key), "file")
      // A second entry with this name has another name in bytes.
      assert.include(yield* summary(entry, "\ufffd"), "not valid UTF-8")
      assert.strictEqual(yield* summary(entry, "a"), "file")
    }))

  it.scopedLive("is reported as missing, unless its name may not be valid UTF-8", () =>
    Effect.gen(function*() {
      const entry = yield* FilesNode.entries(yield* TemporaryDirectory.make)
      assert.notInclude(yield* summary(entry, "gone"), "not valid UTF-8")
      assert.include(yield* summary(entry, "gone\ufffd"), "not valid UTF-8")
    }))
})
