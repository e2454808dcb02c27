/**
 * The credentials and headers in the environment for HTTP and tus servers.
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as HeaderLines from "../args/HeaderLines.js"
import * as CliError from "../CliError.js"

export type HttpCredentials =
  | { readonly _tag: "Bearer"; readonly token: Redacted.Redacted }
  | { readonly _tag: "Basic"; readonly user: string; readonly password: Redacted.Redacted }

/** Credentials and headers for every request. */
export interface HttpAccess {
  readonly credentials: Option.Option<HttpCredentials>
  readonly headers: HeaderLines.Headers
}

/** The credentials in the environment: `SLUICE_HTTP_TOKEN`, or `SLUICE_HTTP_USER` and `SLUICE_HTTP_PASSWORD`. */
export const credentials: Effect.Effect<Option.Option<HttpCredentials>, CliError.CliError> = Effect.gen(
  function*() {
    const token = yield* Config.option(Config.redacted("SLUICE_HTTP_TOKEN"))
    const user = yield* Config.option(Config.string("SLUICE_HTTP_USER"))
    const password = yield* Config.option(Config.redacted("SLUICE_HTTP_PASSWORD"))
    if (Option.isSome(token)) {
      if (Option.isSome(user)) {
        return yield* CliError.usage("SLUICE_HTTP_TOKEN and SLUICE_HTTP_USER are both set. Only one can be used.")
      }
      return Option.some<HttpCredentials>({ _tag: "Bearer", token: token.value })
    }
    if (Option.isNone(user) && Option.isNone(password)) return Option.none()
    if (Option.isNone(user) || Option.isNone(password)) {
      return yield* CliError.usage("SLUICE_HTTP_USER and SLUICE_HTTP_PASSWORD go together: set both.")
    }
    return Option.some<HttpCredentials>({ _tag: "Basic", user: user.value, password: password.value })
  }
).pipe(Effect.catchTag("ConfigError", (error: ConfigError.ConfigError) => CliError.usage(String(error))))

/** The credentials in the form that a kind of destination takes, built by its constructors. */
export const render = <A>(to: {
  readonly bearer: (token: Redacted.Redacted) => A
  readonly basic: (user: string, password: Redacted.Redacted) => A
}) =>
(found: HttpCredentials): A => found._tag === "Bearer" ? to.bearer(found.token) : to.basic(found.user, found.password)

/** Combines the environment and the flags. A flag overrides the environment. */
export const make = Effect.fnUntraced(
  function*(flags: HeaderLines.Headers): Effect.fn.Return<HttpAccess, CliError.CliError> {
    const found = yield* credentials
    const lines = yield* Effect.orElseSucceed(Config.option(Config.redacted("SLUICE_HTTP_HEADERS")), Option.none)
    const fromEnvironment = yield* Effect.mapError(
      HeaderLines.fromEnvironment(Option.match(lines, { onNone: () => "", onSome: Redacted.value })),
      CliError.usage
    )
    if (Option.isSome(found) && fromEnvironment["authorization"] !== undefined) {
      return yield* CliError.usage(
        "SLUICE_HTTP_HEADERS sets Authorization, and so does SLUICE_HTTP_TOKEN or SLUICE_HTTP_USER. Only one can be used."
      )
    }
    return { credentials: found, headers: { ...fromEnvironment, ...flags } }
  }
)
