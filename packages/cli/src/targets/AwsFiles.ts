/**
 * Rewrites the AWS configuration files, `~/.aws/config` and `~/.aws/credentials`, so that AWS's own JavaScript library
 * can read them.
 *
 * That library accepts a profile's name in a section header only after a single space, and only if it consists of
 * letters, digits and a few other characters. It does not
 * recognize the section that `aws configure` writes for a profile with a space in its name, `[profile 'my team']`, so
 * it uses the profile's keys without its region and endpoint. The rewritten files replace such names with names that
 * the library can read.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as CliError from "../CliError.js"
import * as UserHome from "../UserHome.js"

export type Environment = Readonly<Record<string, string | undefined>>

/** A name that the library can read: the name itself, or one derived from it. */
export const alias = (name: string): string =>
  /^[\w@+.%:/-]+$/.test(name) && name !== "__proto__" ? name : `sluice-${Buffer.from(name).toString("hex")}`

/** The paths of the files. */
export const pathsOf = (environment: Environment) => {
  // Without a home directory, the files in it do not exist.
  const home = Option.getOrElse(UserHome.find(environment), () => "/dev/null")
  const fileOf = (name: string, otherwise: string) =>
    path.normalize((environment[name] || `~/.aws/${otherwise}`).replace(/^~(?=\/)/, () => home))
  return {
    config: fileOf("AWS_CONFIG_FILE", "config"),
    credentials: fileOf("AWS_SHARED_CREDENTIALS_FILE", "credentials")
  }
}

/**
 * Lets the library read the files in that form; returns whether there are any. Fails if a file cannot be read: its
 * region and endpoint must not be ignored.
 */
export const prepare = Effect.fnUntraced(
  function*(environment: Environment): Effect.fn.Return<boolean, CliError.CliError> {
    const paths = pathsOf(environment)
    const config = yield* read(paths.config)
    const credentials = yield* read(paths.credentials)
    if (config === undefined && credentials === undefined) return false
    const { externalDataInterceptor } = yield* Effect.promise(() => import("@smithy/core/config"))
    externalDataInterceptor.interceptFile(paths.config, readable(config ?? "", "config"))
    externalDataInterceptor.interceptFile(paths.credentials, readable(credentials ?? "", "credentials"))
    return true
  }
)

/** The text of a file with names that the library can read. */
export const readable = (text: string, file: "config" | "credentials"): string =>
  text.replace(/^\ufeff/, "").split(/\r?\n/).map((line) => {
    const inside = /^\s*\[/.test(line) ? headerIn(line) : undefined
    if (inside !== undefined) {
      const name = file === "config" ? sectionOf(inside) : alias(inside.trim())
      return `[${name}]`
    }
    const [, key, value = ""] = /^(\s*(?:source_profile|services|sso_session)\s*=\s*)(.*)$/.exec(line) ?? []
    return key === undefined ? line : `${key}${alias(value.split(/\s[;#]/)[0]?.trim() ?? "")}`
  }).join("\n")

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const read = (file: string): Effect.Effect<string | undefined, CliError.CliError> =>
  Effect.flatMap(
    Effect.either(Effect.tryPromise({ try: () => fs.readFile(file, "utf8"), catch: (cause) => cause })),
    (text) => {
      if (Either.isRight(text)) return Effect.succeed(text.right)
      const code = CliError.codeOf(text.left)
      return code === "ENOENT" || code === "ENOTDIR" ? Effect.succeed(undefined) : CliError.usage(
        `The AWS file ${file} ${
          CliError.whyUnreadable(text.left)
        }, so its region and endpoint are unknown. Make it readable, or name another file with AWS_CONFIG_FILE and ` +
          "AWS_SHARED_CREDENTIALS_FILE."
      )
    }
  )

/** The text between the brackets, quotes included; `undefined` if the line is not a header. */
const headerIn = (line: string): string | undefined => {
  const begin = line.indexOf("[") + 1
  const ends = (at: number) => line[at] === "]" && /^\s*(?:[#;].*)?$/.test(line.slice(at + 1))
  let quote = ""
  for (let at = begin; at < line.length; at++) {
    const sign = line[at] ?? ""
    if (quote !== "") quote = sign === quote ? "" : quote
    else if (sign === "'" || sign === "\"") quote = sign
    else if (ends(at)) return line.slice(begin, at)
  }
  // A quote that is not closed is part of a name.
  for (let at = begin; at < line.length; at++) if (ends(at)) return line.slice(begin, at)
  return undefined
}

/** `profile 'my team'` with a readable name. */
const sectionOf = (inside: string): string => {
  const [, kind, name = ""] = /^\s*(profile|sso-session|services)\s+(.*?)\s*$/.exec(inside) ?? []
  return kind === undefined ? inside.trim() : `${kind} ${alias(unquoted(name))}`
}

/** A word as shells read it: adjacent parts, quoted or not. */
const unquoted = (word: string): string => {
  const parts = /^(?:'[^']*'|"(?:[^"\\]|\\.)*"|[^'"])*$/.test(word)
    ? word.match(/'[^']*'|"(?:[^"\\]|\\.)*"|[^'"]+/g)
    : null
  return parts === null ? word : parts.map((part) =>
    part.startsWith("'")
      ? part.slice(1, -1)
      : part.startsWith("\"")
      ? part.slice(1, -1).replace(/\\(["\\])/g, "$1")
      : part.replace(/\\(.)/g, "$1")
  ).join("")
}
