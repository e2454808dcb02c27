/**
 * Byte sizes: numbers of bytes, or text with a unit, such as `"8 MiB"`.
 *
 * Binary units (`KiB`, `MiB`, `GiB`, `TiB`) are powers of 1,024 and decimal units (`kB`, `MB`, `GB`, `TB`) powers of
 * 1,000. A bare letter (`K`, `M`, `G`, `T`) is binary, as in rclone and the coreutils. APIs that take a size decode it
 * once, at their edge, and work in bytes from there on.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Either from "effect/Either"
import * as Option from "effect/Option"

/**
 * A size: a number of bytes, or text with a unit.
 *
 * @since 0.1.0
 * @category models
 */
export type ByteSizeInput = number | string

const factors: Record<string, number> = {
  "": 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12
}

/**
 * Reads a size in bytes. Returns `None` if the text is not a size, is negative, or is not a whole number of bytes that
 * a JavaScript number can hold.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { ByteSize } from "@sluice/core"
 * import { Option } from "effect"
 *
 * assert.deepStrictEqual(ByteSize.parse("8 MiB"), Option.some(8388608))
 * assert.deepStrictEqual(ByteSize.parse("1.5kB"), Option.some(1500))
 * assert.deepStrictEqual(ByteSize.parse("ten"), Option.none())
 * ```
 *
 * @since 0.1.0
 * @category decoding
 */
export const parse = (input: ByteSizeInput): Option.Option<number> => {
  if (typeof input === "number") {
    return Number.isSafeInteger(input) && input >= 0 ? Option.some(input) : Option.none()
  }
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(input)
  const factor = match === null ? undefined : factors[match[2]!.toLowerCase()]
  if (match === null || factor === undefined) return Option.none()
  const bytes = Math.round(Number(match[1]) * factor)
  return Number.isSafeInteger(bytes) ? Option.some(bytes) : Option.none()
}

/**
 * Reads a size in bytes and throws a `RangeError` if the input is not one. It is for sizes written in the program
 * itself; use {@link parse} for user input.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (input: ByteSizeInput): number =>
  Option.getOrThrowWith(
    parse(input),
    () => new RangeError(`Not a size: ${JSON.stringify(input)}. Give bytes, or a number with a unit, such as "8 MiB".`)
  )

/**
 * A size in bytes from the configuration, as {@link parse} reads it: `PART_SIZE=8MiB`. Anything else is `InvalidData`.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { ByteSize } from "@sluice/core"
 * import { ConfigProvider, Effect } from "effect"
 *
 * const provider = ConfigProvider.fromMap(new Map([["PART_SIZE", "16 MiB"]]))
 * const partSize = Effect.runSync(Effect.withConfigProvider(ByteSize.config("PART_SIZE"), provider))
 * assert.strictEqual(partSize, 16 * 1024 * 1024)
 * ```
 *
 * @since 0.1.0
 * @category config
 */
export const config = (name?: string): Config.Config<number> => {
  const size = Config.primitive(
    "a size in bytes, such as 8MiB",
    (text) =>
      Either.fromOption(
        parse(text),
        () =>
          ConfigError.InvalidData([], `Expected a size, such as 8MiB or 500kB, but received ${JSON.stringify(text)}`)
      )
  )
  return name === undefined ? size : Config.nested(size, name)
}

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]

/**
 * Formats a number of bytes in binary units with at most one decimal: `1.5 MiB`.
 *
 * @since 0.1.0
 * @category formatting
 */
export const format = (bytes: number): string => {
  let value = bytes
  let unit = 0
  // A value that would round up to 1024 is shown as 1 of the next unit.
  while (Math.abs(value) >= (unit === 0 ? 1024 : 1023.5) && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)
  return `${digits} ${units[unit]}`
}
