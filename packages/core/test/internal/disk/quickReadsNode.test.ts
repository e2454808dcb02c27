import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as os from "node:os"
import { QuickReads } from "../../../src/internal/disk/quickReadsNode.js"

const place = os.tmpdir()

const millis = (count: number) => BigInt(count) * 1_000_000n

/** How many files are left to the thread pool until one is read at once again. */
const skipped = (quickReads: QuickReads): number => {
  let count = 0
  while (!quickReads.areFine(place, 1000)) count += 1
  return count
}

describe.runIf(process.platform === "linux")("files read at once", () => {
  it.live("are so only on a device that is known to be of this machine, and never large ones", () =>
    Effect.gen(function*() {
      const quickReads = new QuickReads()
      assert.isFalse(quickReads.areFine(place, 1000), "nobody knows yet")
      yield* quickReads.isAsked(place)
      assert.isTrue(quickReads.areFine(place, 1000))
      assert.isFalse(quickReads.areFine(place, 16 * 1024 * 1024 + 1))
      const elsewhere = new QuickReads()
      yield* elsewhere.isAsked("/proc/self")
      assert.isFalse(elsewhere.areFine("/proc/self", 1000))
    }))

  it.live("are left to the thread pool after a slow one for which a disk was read, longer each time", () =>
    Effect.gen(function*() {
      let blocks = 8
      const quickReads = new QuickReads(() => blocks)
      yield* quickReads.isAsked(place)
      quickReads.took(millis(2))
      assert.strictEqual(skipped(quickReads), 16)
      blocks = 16
      quickReads.took(millis(2))
      assert.strictEqual(skipped(quickReads), 32)
      for (let i = 0; i < 32; i++) quickReads.took(1000n)
      blocks = 24
      quickReads.took(millis(2))
      assert.strictEqual(skipped(quickReads), 32)
    }))

  it.live("stay so after one that only waited for its turn on the CPU, unless that was for long", () =>
    Effect.gen(function*() {
      const quickReads = new QuickReads(() => 0)
      yield* quickReads.isAsked(place)
      for (let i = 0; i < 3; i++) quickReads.took(millis(20))
      assert.strictEqual(skipped(quickReads), 0)
      quickReads.took(millis(100))
      assert.strictEqual(skipped(quickReads), 16)
    }))
})
