import { assert, describe, it } from "@effect/vitest"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect } from "effect"
import { syncBuiltinESMExports } from "node:module"
import nodeOs from "node:os"
import * as path from "node:path"
import * as TemporaryDirectory from "../../support/TemporaryDirectory.js"

/** A system that cannot tell the name of the machine. */
const nameless = Effect.acquireRelease(
  Effect.sync(() => {
    const { hostname } = nodeOs
    nodeOs.hostname = () => {
      throw new Error("ERR_SYSTEM_ERROR")
    }
    syncBuiltinESMExports()
    return hostname
  }),
  (hostname) =>
    Effect.sync(() => {
      nodeOs.hostname = hostname
      syncBuiltinESMExports()
    })
)

describe("the lock of a journal", () => {
  it.scopedLive("names its process even on a machine without a name", () =>
    Effect.gen(function*() {
      yield* nameless
      const directory = path.join(yield* TemporaryDirectory.make, "journal")
      const open = JournalNode.make({ directory, destination: "https://host/bucket" })
      yield* Effect.scoped(Effect.gen(function*() {
        yield* open
        assert.strictEqual(yield* JournalNode.userOf(directory), process.pid)
        assert.strictEqual((yield* Effect.flip(Effect.scoped(open))).reason, "Locked")
      }))
      assert.isUndefined(yield* JournalNode.userOf(directory))
    }))
})
