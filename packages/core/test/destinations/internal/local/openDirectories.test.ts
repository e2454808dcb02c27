import { assert, describe, it } from "@effect/vitest"
import type { Destination } from "@sluice/core"
import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as TemporaryDirectory from "../../../support/TemporaryDirectory.js"
import * as TestBody from "../../../support/TestBody.js"
import * as TestFileSystem from "../../../support/TestFileSystem.js"
import { pattern } from "../../../support/TestSource.js"

/** Puts a file below directories that do not exist yet. */
const put = (root: string, makeDirectory: (path: string) => Effect.Effect<void, never> | undefined, code?: string) => {
  const platform = TestFileSystem.layer((real) => ({
    makeDirectory: (directory, options) =>
      Effect.zipRight(
        makeDirectory(TestFileSystem.named(directory)) ?? Effect.void,
        code === undefined ? real.makeDirectory(directory, options) : Effect.fail(TestFileSystem.systemError(code))
      )
  }))
  return Effect.flatMap(
    LocalDirectory.make({ root }),
    (local: Destination.Destination["Type"]) => local.put({ key: "a/b/key", body: TestBody.make(pattern(10)) })
  ).pipe(
    Effect.match({
      onSuccess: () => "stored",
      onFailure: (error) => "reason" in error ? `${error._tag} ${error.reason}` : error._tag
    }),
    Effect.provide(platform)
  )
}

describe("directories of a local destination", () => {
  it.scopedLive("are created, even if another process creates them at the same time", () =>
    Effect.gen(function*() {
      for (const meanwhile of [undefined, Effect.void]) {
        const root = yield* TemporaryDirectory.make
        const made: Array<string> = []
        const outcome = yield* put(root, (directory) => {
          made.push(path.relative(root, directory))
          if (meanwhile !== undefined) fs.mkdirSync(directory)
          return meanwhile
        })
        assert.strictEqual(outcome, "stored")
        assert.deepStrictEqual(made, ["a", "a/b"])
        assert.lengthOf(fs.readFileSync(path.join(root, "a/b/key")), 10)
      }
    }))

  it.scopedLive("fail a file with the system's error if they cannot be created", () =>
    Effect.gen(function*() {
      for (
        const [code, expected] of [
          ["ENOSPC", "Rejected NoSpace"],
          ["EACCES", "Rejected Forbidden"],
          ["ENAMETOOLONG", "Rejected InvalidKey"],
          ["EIO", "Transient Unavailable"]
        ] as const
      ) {
        assert.strictEqual(yield* put(yield* TemporaryDirectory.make, () => undefined, code), expected)
      }
    }))
})
