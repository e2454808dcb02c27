import { assert, describe, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import * as fs from "node:fs"
import * as Filter from "../../src/sources/Filter.js"
import * as IntoItself from "../../src/sources/IntoItself.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const excluding = (...exclude: ReadonlyArray<string>) => Either.getOrThrow(Filter.make({ include: [], exclude }))

const problem = (sources: ReadonlyArray<string>, root: string, filter = Filter.everything) =>
  Effect.map(
    Effect.either(IntoItself.check(sources, root, filter)),
    (result) => Either.isLeft(result) ? result.left.message : undefined
  )

describe("IntoItself", () => {
  it.scopedLive("refuses a destination inside a source, there already or not", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/in/a.txt": "a", "other/b.txt": "b" })
      fs.symlinkSync(`${root}/src`, `${root}/link`)
      assert.include(yield* problem([`${root}/src`], `${root}/src/in`), "is inside the source")
      assert.include(yield* problem([`${root}/other`, `${root}/src`], `${root}/src/new/er`), "--exclude \"/new/er\"")
      assert.include(yield* problem([`${root}/src`], `${root}/link/new`), "is inside the source")
      assert.include(yield* problem([`${root}/link`], `${root}/src/new`), "is inside the source")
      assert.include(yield* problem([`${root}/src/`], `${root}/src`), "are the same directory")
    }))

  it.scopedLive("accepts one that is left out, next to the source, or above it", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/in/a.txt": "a" })
      assert.isUndefined(yield* problem([`${root}/src`], `${root}/src/new/er`, excluding("/new/er")))
      assert.isUndefined(yield* problem([`${root}/src`], `${root}/src/new/er`, excluding("new")))
      assert.isUndefined(yield* problem([`${root}/src`], `${root}/src2`))
      assert.isUndefined(yield* problem([`${root}/src`], `${root}/..src`))
      assert.isUndefined(yield* problem([`${root}/src/in`], `${root}/src`))
    }))

  it.scopedLive("refuses a file that is its own destination", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "a.txt": "a" })
      assert.include(yield* problem([`${root}/a.txt`], root), "are the same file")
      assert.isUndefined(yield* problem([`${root}/a.txt`], `${root}/to`))
    }))
})
