/**
 * The simulated network that an address describes: `sim:flaky`, `sim:?latency=20ms&failures=5%`.
 */
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as UploadOptions from "../args/UploadOptions.js"

/** Parses the text after `sim:`, or says what is wrong with it. */
export const parse = (text: string): Either.Either<Simulated.Options, string> => {
  const [preset = "", query = ""] = text.split(/\?(.*)/s)
  const found = Object.entries(Simulated.presets).find(([name]) => name === preset)
  if (preset !== "" && found === undefined) {
    return Either.left(
      `${JSON.stringify(`sim:${preset}`)} is not a simulated network. There are ${
        Object.keys(Simulated.presets).map((name) => `sim:${name}`).join(", ")
      } and sim:?… with ${Object.keys(parameters).join(", ")}.`
    )
  }
  return Array.from(new URLSearchParams(query.replaceAll("+", "%2B"))).reduce<Either.Either<Simulated.Options, string>>(
    (network, [name, value]) =>
      Either.flatMap(
        network,
        (settings) => Either.map(parseParameter(name, value), (more) => ({ ...settings, ...more }))
      ),
    Either.right({ ...found?.[1] })
  )
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface Parameter {
  readonly decode: (text: string) => Option.Option<Simulated.Options>
  readonly takes: string
}

const parameter = <A>(
  decode: UploadOptions.Decode<A>,
  takes: string,
  set: (value: A) => Simulated.Options
): Parameter => ({ decode: (text) => Option.map(decode(text), set), takes })

const decodeFraction: UploadOptions.Decode<number> = (text) => {
  const [, digits, sign] = /^(\d+(?:\.\d+)?|\.\d+)(%?)$/.exec(text) ?? []
  const fraction = Number(digits) / (sign === "%" ? 100 : 1)
  return fraction >= 0 && fraction <= 1 ? Option.some(fraction) : Option.none()
}

const time = "a time such as 20ms"

const speed = "bytes per second, such as 1MB/s"

const parameters: Readonly<Record<string, Parameter>> = {
  latency: parameter(UploadOptions.decodeDuration, time, (millis) => ({ requestLatency: millis })),
  "latency-per-byte": parameter(UploadOptions.decodeDuration, time, (millis) => ({ latencyPerByte: millis })),
  bandwidth: parameter(UploadOptions.decodeBandwidth, speed, (rate) => ({ sharedBytesPerSecond: rate })),
  "connection-bandwidth": parameter(UploadOptions.decodeBandwidth, speed, (rate) => ({ bytesPerSecond: rate })),
  failures: parameter(decodeFraction, "a share of all attempts, such as 0.05 or 5%", (part) => ({ failureRate: part })),
  "max-in-flight": parameter(UploadOptions.decodeCount(1), "a whole number from 1", (most) => ({ maxInFlight: most })),
  "retry-after": parameter(UploadOptions.decodeDuration, time, (millis) => ({ retryAfter: millis })),
  seed: { decode: (text) => Option.some({ seed: text }), takes: "any text" }
}

const parseParameter = (name: string, value: string): Either.Either<Simulated.Options, string> => {
  const known = Object.hasOwn(parameters, name) ? parameters[name] : undefined
  return known === undefined
    ? Either.left(`sim: has no ${JSON.stringify(name)}. It has ${Object.keys(parameters).join(", ")}.`)
    : Either.fromOption(known.decode(value), () => UploadOptions.wrongValue(`sim: ${name}`, value, known.takes))
}
