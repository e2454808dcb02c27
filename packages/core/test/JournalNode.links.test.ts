import { assert, describe, it } from "@effect/vitest"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { patched } from "./support/PatchedFs.js"
import * as TemporaryDirectory from "./support/TemporaryDirectory.js"

const open = (directory: string) => JournalNode.make({ directory, destination: "https://host/bucket" })

const reasonOf = <A, E extends { readonly reason: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(Effect.scoped(Effect.asVoid(effect)), { onSuccess: () => "opened", onFailure: ({ reason }) => reason })

describe("a journal on a file system without hard links", () => {
  it.scopedLive("is still for one process at a time", () =>
    Effect.gen(function*() {
      for (const code of ["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK", "UNKNOWN"]) {
        const directory = path.join(yield* TemporaryDirectory.make, "journal")
        yield* Effect.scoped(Effect.gen(function*() {
          let asked = 0
          yield* patched("link" as never, () => (...args: Array<any>) => {
            asked += 1
            args.at(-1)(Object.assign(new Error(code), { code }))
          })
          yield* Effect.scoped(Effect.gen(function*() {
            yield* open(directory)
            assert.isTrue(fs.existsSync(path.join(directory, "lock")))
            assert.strictEqual(yield* reasonOf(open(directory)), "Locked")
          }))
          assert.isFalse(fs.existsSync(path.join(directory, "lock")))
          assert.strictEqual(yield* reasonOf(open(directory)), "opened")
          assert.isAbove(asked, 0)
        }))
      }
    }))

  it.scopedLive("cannot be opened if links fail for another reason", () =>
    Effect.gen(function*() {
      const directory = path.join(yield* TemporaryDirectory.make, "journal")
      for (const error of [Object.assign(new Error("full"), { code: "ENOSPC" }), new Error("no code")]) {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* patched("link" as never, () => (...args: Array<any>) => args.at(-1)(error))
          assert.strictEqual(yield* reasonOf(open(directory)), "Unusable")
        }))
      }
      assert.strictEqual(yield* reasonOf(open(directory)), "opened")
    }))
})
