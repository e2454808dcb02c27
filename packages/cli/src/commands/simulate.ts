/**
 * `sluice simulate`: four strategies side by side, as a table, as JSON or as a picture.
 */
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as ByteSize from "@sluice/core/ByteSize"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as CliError from "../CliError.js"
import * as Format from "../Format.js"
import { decodeCount, decodeDuration, decodeRate, wrongValue } from "../options.js"
import type { Decode } from "../options.js"
import * as Output from "../Output.js"
import * as Simulation from "../Simulation.js"
import * as TimelineSvg from "../TimelineSvg.js"

/** A flag that is decoded as it is read. */
const flag = <A>(name: string, options: {
  readonly placeholder: string
  readonly decode: Decode<A>
  readonly takes: string
  readonly byDefault: A
  readonly about: string
}): Options.Options<A> =>
  Options.text(name).pipe(
    Options.withPseudoName(options.placeholder),
    Options.mapEffect((text) =>
      Either.fromOption(
        options.decode(text),
        () => ValidationError.invalidValue(HelpDoc.p(wrongValue(`--${name}`, text, options.takes)))
      )
    ),
    Options.withDescription(options.about),
    Options.optional,
    Options.map(Option.getOrElse(() => options.byDefault))
  )

/** A part of the whole, from 0 to 1: `5%`, `0.05`. */
const decodeShare: Decode<number> = (text) => {
  const [, digits, sign] = /^(\d+(?:\.\d+)?|\.\d+)(%?)$/.exec(text) ?? []
  const share = Number(digits) / (sign === "%" ? 100 : 1)
  return share <= 1 ? Option.some(share) : Option.none()
}

/** The command. */
export const simulate = Command.make(
  "simulate",
  {
    files: flag("files", {
      placeholder: "N",
      decode: decodeCount(1),
      takes: "a whole number from 1",
      byDefault: Simulation.defaults.files,
      about: "How many files are uploaded. Defaults to 100."
    }),
    minSize: flag("min-size", {
      placeholder: "SIZE",
      decode: ByteSize.parse,
      takes: "a size, such as 100B or 4KiB",
      byDefault: Simulation.defaults.minSize,
      about: "The size of the smallest file. Defaults to 100B."
    }),
    maxSize: flag("max-size", {
      placeholder: "SIZE",
      decode: ByteSize.parse,
      takes: "a size, such as 1100B or 64KiB",
      byDefault: Simulation.defaults.maxSize,
      about: "The size of the largest file. Defaults to 1100B."
    }),
    latencyMillis: flag("latency", {
      placeholder: "1ms",
      decode: decodeDuration,
      takes: "a time with a unit, such as 1ms or 0.2ms",
      byDefault: Simulation.defaults.latencyMillis,
      about: "What each byte takes. Defaults to 1ms."
    }),
    failureRate: flag("failures", {
      placeholder: "5%",
      decode: decodeShare,
      takes: "a part of all attempts, such as 5% or 0.05",
      byDefault: Simulation.defaults.failureRate,
      about: "How many attempts fail, and are tried again. Defaults to 5%."
    }),
    workers: flag("workers", {
      placeholder: "N",
      decode: decodeCount(1),
      takes: "a whole number from 1",
      byDefault: Simulation.defaults.workers,
      about: "Uploads in flight of the worker pool. Defaults to 10."
    }),
    uploadsPerSecond: flag("rate", {
      placeholder: "50/s",
      decode: decodeRate,
      takes: "starts a second, minute or hour, such as 50/s or 3000/m",
      byDefault: Simulation.defaults.uploadsPerSecond,
      about: "Starts of uploads of the fixed rate. Defaults to 50/s."
    }),
    baseUploadsPerSecond: flag("base-rate", {
      placeholder: "10/s",
      decode: decodeRate,
      takes: "starts a second, minute or hour, such as 10/s or 600/m",
      byDefault: Simulation.defaults.baseUploadsPerSecond,
      about: "Starts of uploads that the adaptive rate begins with. Defaults to 10/s."
    }),
    seed: flag("seed", {
      placeholder: "TEXT",
      decode: Option.some<string>,
      takes: "any text",
      byDefault: Simulation.defaults.seed,
      about: "The same seed gives the same numbers. Defaults to 1."
    }),
    svg: Options.text("svg").pipe(
      Options.withPseudoName("FILE"),
      Options.withDescription("Draws who was in flight when, and writes the picture to this file."),
      Options.optional
    ),
    json: Options.boolean("json").pipe(
      Options.withDescription("Prints a line of JSON for each strategy, with its report.")
    )
  },
  ({ json, svg, ...scenario }) =>
    Effect.gen(function*() {
      const { stderr, stdout } = yield* Output.Output
      if (scenario.minSize > scenario.maxSize) {
        return yield* CliError.usage(
          `--min-size is ${ByteSize.format(scenario.minSize)}, more than --max-size, ${
            ByteSize.format(scenario.maxSize)
          }.`
        )
      }
      const outcomes = yield* Simulation.run(scenario)
      if (json) {
        yield* Output.writeLines(stdout, outcomes.map((outcome) => Simulation.json(scenario, outcome)))
      } else {
        const columns = stdout.isTerminal ? stdout.size().columns : Infinity
        yield* Output.writeLines(stdout, [
          `${Format.counted(scenario.files, "file")} over a simulated network. ${Simulation.describe(scenario)}`,
          "Time is virtual: it is what the uploads would take, exactly, and the same for the same seed.",
          "",
          ...Simulation.table(outcomes, { columns, style: stdout.style })
        ])
      }
      if (Option.isSome(svg)) {
        yield* write(svg.value, TimelineSvg.render(Simulation.picture(scenario, outcomes)))
        yield* Output.writeLines(stderr, [`The picture is in ${svg.value}.`])
      }
    })
).pipe(
  Command.withDescription(
    "Compares four strategies on a simulated network, in virtual time: all at once, a worker pool, a fixed rate of " +
      "starts, and a rate that follows response times."
  )
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const write = (file: string, content: string) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    yield* fs.makeDirectory(path.dirname(file), { recursive: true })
    yield* fs.writeFileString(file, content)
  }).pipe(
    Effect.mapError((error) => CliError.usage(`--svg: ${JSON.stringify(file)} cannot be written. ${error.message}`))
  )
