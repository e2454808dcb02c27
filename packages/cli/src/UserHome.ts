/**
 * The user's home directory. A process may have none: in a container, under a user id without a user, or from cron.
 */
import * as Option from "effect/Option"
import * as os from "node:os"
import * as path from "node:path"

/** Its path; none if the user has no home. A relative path, which would depend on the current directory, is ignored. */
export const find = (environment: NodeJS.ProcessEnv = process.env): Option.Option<string> =>
  Option.fromNullable(process.platform === "win32" ? undefined : environment["HOME"]).pipe(
    Option.orElse(() => Option.liftThrowable(os.homedir)()),
    Option.filter((home) => path.isAbsolute(home))
  )
