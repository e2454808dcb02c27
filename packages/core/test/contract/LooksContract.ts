/**
 * What a destination reports about its objects.
 */
import { assert, describe, it } from "@effect/vitest"
import { Destination, UploadFile } from "@sluice/core"
import type { Uploader } from "@sluice/core"
import { Effect, Either, Option, Stream } from "effect"
import { collect } from "../support/TestBody.js"
import { pattern, sameBytes } from "../support/TestSource.js"
import { staged, uploadOne } from "./Subject.js"
import type { Subject } from "./Subject.js"

export const looksContract = <R>(subject: Subject<R>): void => {
  if (subject.tells === false) return

  const onFresh = <A, E>(program: Effect.Effect<A, E, Destination.Destination | Uploader.Uploader | R>) =>
    Effect.provide(program, staged(subject))

  const contents = new Map([["empty", pattern(0)], ["a/one", pattern(1)], ["a/b c%/two", pattern(70_000, 2)]])

  const storeAll = Effect.forEach(contents, ([key, bytes]) => uploadOne(UploadFile.fromBytes(key, bytes)))

  describe("what it tells", () => {
    it.live("tells of each object its size, and the etag that it was stored with", () =>
      onFresh(Effect.gen(function*() {
        const { head } = yield* Destination.Destination
        if (head === undefined) return
        for (const [key, bytes] of contents) {
          const { result } = yield* uploadOne(UploadFile.fromBytes(key, bytes))
          const found = Option.getOrThrow(yield* head(key))
          assert.strictEqual(found.size, bytes.length, key)
          if (result?._tag === "Uploaded" && result.etag !== undefined && found.etag !== undefined) {
            assert.strictEqual(found.etag, result.etag, key)
          }
        }
      })))

    it.live("tells that nothing is there", () =>
      onFresh(Effect.gen(function*() {
        const { head } = yield* Destination.Destination
        if (head === undefined) return
        for (const key of ["nothing", "a/nothing", "no%20thing ?"]) {
          assert.isTrue(Option.isNone(yield* head(key)), key)
        }
      })))

    it.live("gives the bytes back, and fails where there are none", () =>
      onFresh(Effect.gen(function*() {
        const { read } = yield* Destination.Destination
        if (read === undefined) return
        yield* storeAll
        for (const [key, bytes] of contents) assert.isTrue(sameBytes(yield* collect(read(key)), bytes), key)
        const missing = yield* Effect.either(collect(read("nothing")))
        assert.isTrue(Either.isLeft(missing) && missing.left._tag === "Rejected")
      })))

    it.live("lists all objects with their sizes", () =>
      onFresh(Effect.gen(function*() {
        const { list } = yield* Destination.Destination
        if (list === undefined) return
        assert.deepStrictEqual([...yield* Stream.runCollect(list)], [])
        yield* storeAll
        const listed = new Map(Array.from(yield* Stream.runCollect(list), ({ key, size }) => [key, size]))
        assert.deepStrictEqual(listed, new Map(Array.from(contents, ([key, bytes]) => [key, bytes.length])))
      })))

    it.live("removes an object, and succeeds where there is none", () =>
      onFresh(Effect.gen(function*() {
        const { remove } = yield* Destination.Destination
        if (remove === undefined) return
        yield* storeAll
        yield* remove("a/one")
        yield* remove("a/one")
        assert.deepStrictEqual([...yield* subject.list].sort(), ["a/b c%/two", "empty"])
      })))
  })
}
