/**
 * The user's home directory. A process may not have one: in a container, under a UID without a user entry, or
 * when started by cron.
 */
import * as Option from "effect/Option"
import * as os from "node:os"
import * as path from "node:path"

/**
 * The path of the home directory, or `None` if there is no home directory. A relative path, which would depend on the
 * current directory, is ignored.
 */
export const find = (environment: NodeJS.ProcessEnv = process.env): Option.Option<string> =>
  Option.fromNullable(process.platform === "win32" ? undefined : environment["HOME"]).pipe(
    Option.orElse(() => Option.liftThrowable(os.homedir)()),
    Option.filter((home) => path.isAbsolute(home))
  )
