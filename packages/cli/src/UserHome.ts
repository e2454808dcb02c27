/**
 * The user's home directory. A process may have none: in a container, under a number that no user has, or from cron.
 */
import * as Option from "effect/Option"
import * as os from "node:os"
import * as path from "node:path"

/** Where it is; nothing where the user has none. One that is not absolute would be another in each directory, and is none. */
export const find = (environment: NodeJS.ProcessEnv = process.env): Option.Option<string> =>
  Option.fromNullable(process.platform === "win32" ? undefined : environment["HOME"]).pipe(
    Option.orElse(() => Option.liftThrowable(os.homedir)()),
    Option.filter((home) => path.isAbsolute(home))
  )
