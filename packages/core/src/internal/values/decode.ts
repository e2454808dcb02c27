/**
 * Options, decoded once at the edge. An invalid value is refused at once, by name, with a `RangeError`: a limit of
 * `NaN` would be no limit, since every comparison with it fails.
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ByteSize from "../../ByteSize.js"

/** A whole number of at least `least`, fractions cut off; `Infinity` for no limit. */
export const count = (name: string, value: number, least = 1): number =>
  accepted(
    name,
    value,
    isNumber(value) && value >= least,
    `a whole number of at least ${least}, or Infinity for no limit`,
    () => value === Infinity ? Infinity : Math.floor(value)
  )

/** A rate per second, more than 0; `Infinity` for no limit. */
export const rate = (name: string, value: number): number =>
  accepted(name, value, isNumber(value) && value > 0, "a number above 0, or Infinity for no limit", () => value)

/** A limit that is changed while in use: 0 stops everything until it is raised. */
export const adjusted = (name: string, value: number): number =>
  accepted(
    name,
    value,
    isNumber(value) && value >= 0,
    "a number of at least 0, which pauses, or Infinity for no limit",
    () => value
  )

/** A number from `least` to `most`. */
export const between = (name: string, value: number, least: number, most: number): number =>
  accepted(
    name,
    value,
    isNumber(value) && value >= least && value <= most,
    most === Infinity ? `a number of at least ${least}` : `a number from ${least} to ${most}`,
    () => value
  )

/** A size in bytes, at least `least`. */
export const size = (name: string, value: ByteSize.ByteSizeInput, least = 1): number => {
  const bytes = Option.getOrElse(
    typeof value === "string" || isNumber(value) ? ByteSize.parse(value) : Option.none(),
    () => NaN
  )
  return accepted(
    name,
    value,
    bytes >= least,
    `a size of at least ${least} ${least === 1 ? "byte" : "bytes"}: bytes, or a number with a unit, such as "8 MiB"`,
    () => bytes
  )
}

/** Bytes a second, more than 0; `Infinity` for no limit. */
export const byteRate = (name: string, value: ByteSize.ByteSizeInput): number =>
  typeof value === "string" ? size(name, value) : rate(name, value)

/** A time in milliseconds, which may be `Infinity`; 0 only where it makes sense. */
export const millis = (name: string, value: Duration.DurationInput, options?: { readonly orNone: boolean }): number => {
  const time = typeof value === "number" && !(value >= 0)
    ? NaN
    : Either.getOrElse(Either.try(() => Duration.toMillis(value)), () => NaN)
  return options?.orNone === true
    ? accepted(name, value, time >= 0, "a duration of at least 0, such as \"30 seconds\"", () => time)
    : accepted(name, value, time > 0, "a duration above 0, such as \"30 seconds\"", () => time)
}

/** One of the given words. */
export const oneOf = <const A extends string>(name: string, value: A, words: ReadonlyArray<A>): A =>
  accepted(
    name,
    value,
    words.includes(value),
    new Intl.ListFormat("en", { type: "disjunction" }).format(words.map((word) => JSON.stringify(word))),
    () => value
  )

/** A function, if given. */
export const callback = <A extends (...args: never) => unknown>(name: string, value: A | undefined): A | undefined =>
  accepted(name, value, value === undefined || typeof value === "function", "a function", () => value)

/** An effect, if given. */
export const effect = <A, E, R>(name: string, value: Effect.Effect<A, E, R> | undefined) =>
  accepted(name, value, value === undefined || Effect.isEffect(value), "an Effect", () => value)

/** Makes something with options from a configuration, of which an invalid option is an error, not a defect. */
export const configured = <Options, A, E, R>(
  config: Config.Config.Wrap<Options>,
  make: (options: Options) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | ConfigError.ConfigError, R> =>
  Effect.flatMap(Config.unwrap(config), (options) =>
    Effect.catchSomeDefect(make(options), (defect) =>
      Option.map(
        Option.liftPredicate(defect, (it) => it instanceof RangeError),
        ({ message }) => Effect.fail(ConfigError.InvalidData([], message))
      )))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const isNumber = (value: unknown): value is number => typeof value === "number" && !Number.isNaN(value)

const accepted = <A>(name: string, value: unknown, isGood: boolean, takes: string, decoded: () => A): A =>
  Option.getOrThrowWith(
    isGood ? Option.some(decoded()) : Option.none(),
    () =>
      new RangeError(
        `${name} takes ${takes}, not ${typeof value === "string" ? JSON.stringify(value) : String(value)}.`
      )
  )
