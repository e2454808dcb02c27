/**
 * Small file systems in memory, for full and read-only disks. Mounting them is the privilege of few.
 */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as TemporaryDirectory from "./TemporaryDirectory.js"

const mount = (directory: string, options: string): boolean =>
  process.platform === "linux" &&
  spawnSync("mount", ["-t", "tmpfs", "-o", options, "sluice-test", directory], { stdio: "ignore" }).status === 0

const unmount = (directory: string): void => {
  spawnSync("umount", ["-l", directory], { stdio: "ignore" })
}

/** Whether this process may mount at all. */
export const mayMount: boolean = (() => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-test-"))
  const mounted = mount(directory, "size=64k")
  if (mounted) unmount(directory)
  fs.rmdirSync(directory)
  return mounted
})()

/** A file system of its own, mounted until the scope ends. */
export const mounted = (options: string) =>
  Effect.flatMap(TemporaryDirectory.make, (directory) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        if (!mount(directory, options)) throw new Error(`tmpfs with ${options} could not be mounted`)
        return directory
      }),
      () => Effect.sync(() => unmount(directory))
    ))
