import { assert, describe, it } from "@effect/vitest"
import { Strategy } from "@sluice/core"
import * as MachineNode from "@sluice/core/MachineNode"
import { Effect } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import * as os from "node:os"
import { patched } from "./support/PatchedFs.js"

describe("MachineNode", () => {
  /** A machine whose system reports these limits. */
  const openFilesWith = (limits: () => string) =>
    Effect.scoped(Effect.zipRight(
      patched(
        "readFileSync",
        (real) => (name, ...rest) => name === "/proc/self/limits" ? limits() : real(name, ...rest)
      ),
      Effect.map(MachineNode.machine, ({ openFiles }) => openFiles)
    ))

  it.live("counts the CPUs that the process may use", () =>
    Effect.gen(function*() {
      const { cpus } = yield* MachineNode.machine
      assert.strictEqual(cpus, os.availableParallelism())
      assert.isAtLeast(cpus, 1)
    }))

  it.live.skipIf(process.platform !== "linux")(
    "tells the soft limit of open files on Linux",
    () =>
      Effect.gen(function*() {
        const { openFiles } = yield* MachineNode.machine
        const told = execFileSync("sh", ["-c", "ulimit -Sn"], { encoding: "utf8" }).trim()
        assert.strictEqual(openFiles, told === "unlimited" ? Infinity : Number(told))
      })
  )

  it.live("reads the soft limit, not the hard one", () =>
    Effect.gen(function*() {
      const line = (soft: string) =>
        `Limit                     Soft Limit           Hard Limit           Units\n` +
        `Max open files            ${soft.padEnd(20)} 524288               files\n` +
        `Max locked memory         65536                65536                bytes\n`
      assert.strictEqual(yield* openFilesWith(() => line("256")), 256)
      assert.strictEqual(yield* openFilesWith(() => line("unlimited")), Infinity)
    }))

  it.live("assumes 1,024 if the limit is unknown", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* openFilesWith(() => "nothing of the kind"), 1024)
      const missing = () => {
        throw new Error("ENOENT")
      }
      assert.strictEqual(yield* openFilesWith(missing), 1024)
    }))

  it.live("is the basis for a number of workers", () =>
    Effect.gen(function*() {
      const workers = Strategy.optimalWorkerCount(yield* MachineNode.machine)
      assert.isAtLeast(workers, 1)
      assert.isAtMost(workers, os.availableParallelism() * 4)
    }))

  it.live("tells V8 how far the heap may grow, with flags that it knows", () =>
    Effect.sync(() => {
      // V8 reports unknown flags on standard error, and continues.
      const toldOf = (memory: string) =>
        spawnSync(process.execPath, [
          "--conditions=@sluice/source",
          "--import",
          "tsx",
          "--input-type=module",
          "--eval",
          `
            import { Effect } from "effect"
            import { syncBuiltinESMExports } from "node:module"
            import v8 from "node:v8"
            const { setFlagsFromString } = v8
            v8.setFlagsFromString = (flags) => {
              setFlagsFromString(flags)
              console.log(flags)
            }
            syncBuiltinESMExports()
            const { keepHeapSmall } = await import("@sluice/core/MachineNode")
            Effect.runSync(keepHeapSmall("${memory}"))
          `
        ], { cwd: import.meta.dirname, encoding: "utf8" })
      const usual = toldOf("256 MiB")
      assert.deepStrictEqual([usual.stdout, usual.stderr], ["--heap-growing-percent=50\n", ""])
      const small = toldOf("64 MiB")
      assert.deepStrictEqual(
        [small.stdout, small.stderr],
        ["--heap-growing-percent=20\n--semi-space-growth-factor=1\n", ""]
      )
    }))
})
