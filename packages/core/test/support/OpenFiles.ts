/**
 * The files that this process has open, from Linux; none on other systems.
 */
import * as fs from "node:fs"

/** The open files and directories below a path, sorted; sockets, pipes and devices are left out. */
export const openFiles = (below = "/"): Array<string> => {
  if (!fs.existsSync("/proc/self/fd")) return []
  return fs.readdirSync("/proc/self/fd").flatMap((descriptor) => {
    try {
      const opened = fs.readlinkSync(`/proc/self/fd/${descriptor}`)
      return opened.startsWith(below) && !/^\/(dev|proc|sys)\//.test(opened) ? [opened] : []
    } catch {
      return []
    }
  }).sort()
}
