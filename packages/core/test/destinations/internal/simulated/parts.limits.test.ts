import { assert, describe, it } from "@effect/vitest"
import type { Destination } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Effect } from "effect"
import * as TestBody from "../../../support/TestBody.js"
import { pattern } from "../../../support/TestSource.js"

const started = (parts: Partial<Destination.PartLimits>) =>
  Effect.gen(function*() {
    const multipart = (yield* Simulated.make({ parts, observe: true })).destination.multipart!
    const create = (size?: number) =>
      multipart.create({
        key: "key",
        size,
        token: "unused",
        checksum: undefined,
        contentType: undefined,
        metadata: undefined
      })
    const session: Destination.Session = { key: "key", uploadId: yield* create() }
    return {
      create,
      send: (number: number, size: number) =>
        multipart.uploadPart({ ...session, number, offset: 0, total: undefined, body: TestBody.make(pattern(size)) }),
      complete: (...parts: ReadonlyArray<Destination.StoredPart>) =>
        multipart.complete({
          ...session,
          parts,
          size: parts.reduce((sum, { size }) => sum + size, 0),
          checksum: undefined,
          modifiedAt: undefined
        })
    }
  })

const outcome = <A>(effect: Effect.Effect<A, { readonly _tag: string; readonly reason?: string }>) =>
  Effect.match(effect, { onSuccess: () => "taken", onFailure: ({ _tag, reason = "" }) => `${_tag} ${reason}`.trim() })

describe("the limits of a simulated network's parts", () => {
  it("are those of S3, without its minimum size", () => {
    assert.deepStrictEqual(Simulated.defaultParts, {
      minSize: 1,
      maxSize: 5_368_709_120,
      multiple: 1,
      maxCount: 10_000,
      maxObjectSize: 48.8 * 1_099_511_627_776,
      inOrder: false
    })
  })

  it.effect("allow values at the limit and refuse those beyond it", () =>
    Effect.gen(function*() {
      const { create, send } = yield* started({ maxSize: 10, maxCount: 3, maxObjectSize: 25 })
      assert.strictEqual(yield* outcome(create(25)), "taken")
      assert.strictEqual(yield* outcome(create(26)), "Rejected TooLarge")
      assert.strictEqual(yield* outcome(send(1, 10)), "taken")
      assert.strictEqual(yield* outcome(send(1, 11)), "Rejected TooLarge")
      assert.strictEqual(yield* outcome(send(3, 1)), "taken")
      assert.strictEqual(yield* outcome(send(4, 1)), "Rejected Unsupported")
    }))

  it.effect("allow an object of exactly the maximum size", () =>
    Effect.gen(function*() {
      for (const [last, expected] of [[5, "taken"], [6, "Rejected TooLarge"]] as const) {
        const { complete, send } = yield* started({ maxObjectSize: 25 })
        const parts = [yield* send(1, 20), yield* send(2, last)]
        assert.strictEqual(yield* outcome(complete(...parts)), expected)
      }
    }))

  it.effect("apply to all parts but the last", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [sizes: ReadonlyArray<number>, expected: string]> = [
        [[10, 10], "taken"],
        [[15, 3], "taken"],
        [[3], "taken"],
        [[], "taken"],
        [[9, 10], "Rejected Unsupported"],
        [[12, 10], "Rejected Unsupported"],
        [[10, 5, 10], "Rejected Unsupported"]
      ]
      for (const [sizes, expected] of cases) {
        const { complete, send } = yield* started({ minSize: 10, multiple: 5 })
        const parts = yield* Effect.forEach(sizes, (size, i) => send(i + 1, size))
        assert.strictEqual(yield* outcome(complete(...parts)), expected, sizes.join())
      }
    }))

  it.effect("refuse an object with the same part twice", () =>
    Effect.gen(function*() {
      const { complete, send } = yield* started({})
      const part = yield* send(1, 10)
      assert.strictEqual(yield* outcome(complete(part, part)), "Rejected Unsupported")
      assert.strictEqual(yield* outcome(complete(part)), "taken")
    }))
})
