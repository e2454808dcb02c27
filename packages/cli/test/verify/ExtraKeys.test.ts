import { assert, describe, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import * as fs from "node:fs"
import * as Filter from "../../src/sources/Filter.js"
import * as ExtraKeys from "../../src/verify/ExtraKeys.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const filter = Either.getOrThrow(Filter.make({ include: [], exclude: ["*.tmp", "cache"] }))

describe("ExtraKeys", () => {
  it.scopedLive("are files that no source has and the filter takes", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a/x.txt": "", "a/sub/y.txt": "", "b/z.txt": "", "w.txt": "" })
      fs.symlinkSync("x.txt", `${root}/a/link`)
      fs.symlinkSync("sub", `${root}/a/way`)
      fs.symlinkSync("../b", `${root}/a/out`)
      const keys = [
        "x.txt",
        "sub/y.txt",
        "sub",
        "z.txt",
        "w.txt",
        "nope",
        "x.txt/below",
        "old.tmp",
        "cache/1",
        "link",
        "way/y.txt",
        "out/z.txt"
      ]
      const extra = (followSymlinks: boolean) =>
        Effect.gen(function*() {
          const isExtra = yield* ExtraKeys.among([`${root}/a`, `${root}/b`, `${root}/w.txt`], {
            filter,
            followSymlinks
          })
          assert.isDefined(isExtra)
          return yield* Effect.filter(keys, isExtra ?? (() => Effect.succeed(false)))
        })
      assert.deepStrictEqual(yield* extra(false), ["sub", "nope", "x.txt/below", "link", "way/y.txt", "out/z.txt"])
      assert.deepStrictEqual(yield* extra(true), ["sub", "nope", "x.txt/below", "out/z.txt"])
      assert.isUndefined(yield* ExtraKeys.among([`${root}/w.txt`], { filter, followSymlinks: false }))
    }))
})
