import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const MiB = 1024 * 1024

const mount = (directory: string): boolean =>
  process.platform === "linux" &&
  spawnSync("mount", ["-t", "tmpfs", "-o", `size=${12 * MiB}`, "sluice-test", directory]).status === 0

const unmount = (directory: string) => Effect.sync(() => void spawnSync("umount", ["-l", directory]))

const mayMount = Effect.runSync(Effect.scoped(
  Effect.flatMap(TemporaryDirectory.make, (directory) =>
    Effect.sync(() => {
      const mounted = mount(directory)
      if (mounted) spawnSync("umount", ["-l", directory])
      return mounted
    }))
))

/** A disk of 12 MiB. */
const disk = Effect.tap(
  TemporaryDirectory.make,
  (directory) => Effect.acquireRelease(Effect.sync(() => assert.isTrue(mount(directory))), () => unmount(directory))
)

describe.skipIf(!mayMount)("a full disk at the destination", { timeout: 60_000 }, () => {
  it.scopedLive("is reported with what takes space there, which an abort frees again", () =>
    Effect.gen(function*() {
      const to = yield* disk
      const root = yield* TemporaryDirectory.withFiles({ "src/small": "s" })
      fs.writeFileSync(`${root}/src/large`, Buffer.alloc(20 * MiB, 1))
      const options = { cwd: root, env: { XDG_STATE_HOME: `${root}/state` } }
      const args = ["upload", "src", `${to}/in`, "--part-size", "1MiB", "--concurrency", "1"]
      const { exitCode, stderr } = yield* Sluice.run(args, options)
      assert.strictEqual(exitCode, 1)
      assert.include(stderr, `large: No space is left for ${to}/in/large (ENOSPC).`)
      const command = `sluice uploads abort ${to}/in`
      assert.match(stderr, /\nKept the stored part of 1 large file, 1[0-2]\.\d MB: the same command continues it\.\n/)
      assert.include(
        stderr,
        "What is stored of it takes space at the destination. Free some space and run the same command again, or remove what " +
          `is stored: ${command}\n`
      )
      assert.isBelow(Number(fs.statfsSync(to).bavail) * fs.statfsSync(to).bsize, MiB)
      assert.strictEqual((yield* Sluice.run(command.split(" ").slice(1), options)).exitCode, 0)
      assert.isAbove(Number(fs.statfsSync(to).bavail) * fs.statfsSync(to).bsize, 11 * MiB)
      assert.deepStrictEqual(TemporaryDirectory.read(to), { "in/small": "s" })
      const without = yield* Sluice.run([...args, "--no-journal"], options)
      assert.strictEqual(without.exitCode, 1)
      assert.include(
        without.stderr,
        "Free some space at the destination, or have its quota raised, and run the same command again."
      )
      assert.deepStrictEqual(TemporaryDirectory.read(to), { "in/small": "s" })
    }))

  it.scopedLive("under the journal does not end the upload, and is reported", () =>
    Effect.gen(function*() {
      const state = yield* disk
      fs.writeFileSync(`${state}/fill`, Buffer.alloc(12 * MiB - 4096))
      const root = yield* TemporaryDirectory.withFiles({ "src/small": "s" })
      fs.writeFileSync(`${root}/src/large`, Buffer.alloc(3 * MiB, 1))
      const options = { cwd: root, env: { XDG_STATE_HOME: state } }
      const { exitCode, stderr } = yield* Sluice.run(["upload", "src", "to", "--part-size", "1MiB"], options)
      assert.deepStrictEqual([exitCode, Object.keys(TemporaryDirectory.read(`${root}/to`))], [0, ["large", "small"]])
      assert.include(stderr, "continuing without a journal")
      assert.include(stderr, "ENOSPC")
    }))
})
