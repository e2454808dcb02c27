import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Descriptors from "../../../src/internal/disk/descriptorsNode.js"
import * as TemporaryDirectory from "../../support/TemporaryDirectory.js"

/** The module on a system where descriptors are not paths. */
const elsewhere = Effect.acquireUseRelease(
  Effect.sync(() => {
    const platform = Object.getOwnPropertyDescriptor(process, "platform")!
    Object.defineProperty(process, "platform", { ...platform, value: "freebsd" })
    return platform
  }),
  () => {
    const module = "../../../src/internal/disk/descriptorsNode.js?elsewhere"
    return Effect.promise(() => import(/* @vite-ignore */ module) as Promise<typeof Descriptors>)
  },
  (platform) => Effect.sync(() => Object.defineProperty(process, "platform", platform))
)

describe("where an open file is", () => {
  it.scopedLive("is found by name if descriptors are not paths, unless the name belongs to another file", () =>
    Effect.gen(function*() {
      const { arePaths, whereIs } = yield* elsewhere
      assert.isFalse(arePaths)
      const root = fs.realpathSync(yield* TemporaryDirectory.make)
      const [one, two] = [path.join(root, "one"), path.join(root, "two")]
      fs.writeFileSync(one, "1")
      fs.writeFileSync(two, "2")
      fs.symlinkSync("one", path.join(root, "link"))
      const descriptor = yield* Effect.acquireRelease(
        Effect.sync(() => fs.openSync(one, "r")),
        (descriptor) => Effect.sync(() => fs.closeSync(descriptor))
      )
      assert.strictEqual(yield* whereIs(descriptor, one), one)
      assert.strictEqual(yield* whereIs(descriptor, path.join(root, "link")), one)
      assert.strictEqual(yield* whereIs(descriptor, two), "")
      // A file on another device may have the same inode number.
      const other = ["/proc", "/dev/shm", "/dev"].find((place) => fs.existsSync(place))
      if (other !== undefined) assert.strictEqual(yield* whereIs(descriptor, other), "")
    }))

  it("is inside a directory if that is its path or an ancestor of it", () => {
    for (
      const [directory, real, expected] of [
        ["/a", "/a", true],
        ["/a", "/a/b", true],
        ["/a", "/ab", false],
        ["/a", "/", false],
        ["/", "/a", true],
        ["/", "/", true],
        ["/a/", "/a/b", true],
        ["/a", "", false]
      ] as const
    ) {
      assert.strictEqual(Descriptors.isInside(directory, real), expected, `${real} in ${directory}`)
    }
  })
})
