import { assert, describe, it } from "@effect/vitest"
import { ByteSize, Destination, RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import { Config, ConfigProvider, Effect, Exit, Layer, Option } from "effect"
import type { ConfigError } from "effect"
import * as Recording from "./support/Recording.js"

const using = <A, E>(
  config: Config.Config.Wrap<Uploader.Options>,
  values: Readonly<Record<string, string>>,
  use: Effect.Effect<A, E, Uploader.Uploader>
): Effect.Effect<A, E | ConfigError.ConfigError> =>
  Effect.provide(
    use,
    Uploader.layerConfig(config).pipe(
      Layer.provide(Layer.succeed(Destination.Destination, Recording.make().destination)),
      Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values)))))
    )
  )

const limits = Effect.flatMap(Uploader.Uploader, (uploader) => uploader.limits.current)

describe("Uploader.layerConfig", () => {
  it.effect("makes an uploader from the configuration, and of defaults where it has none", () =>
    Effect.gen(function*() {
      const config = {
        strategy: Strategy.config("STRATEGY"),
        memory: Config.withDefault(ByteSize.config("MEMORY"), undefined),
        retry: Config.succeed(RetryPolicy.none),
        checksum: Config.literal("none", "md5")("CHECKSUM")
      }
      const upload = Effect.flatMap(Uploader.Uploader, (uploader) => uploader.upload(UploadFile.fromText("a", "b")))
      const values = { STRATEGY: "pool:3+rate:5/s", CHECKSUM: "none" }
      assert.deepStrictEqual(
        yield* using(config, values, limits),
        { concurrency: 3, uploadsPerSecond: 5, bytesPerSecond: Infinity }
      )
      assert.strictEqual((yield* using(config, values, upload))._tag, "Uploaded")
      assert.strictEqual(
        (yield* using({ memory: config.memory }, {}, limits)).concurrency,
        Uploader.defaults.strategy.concurrency
      )
    }))

  it.effect("fails with what is missing or invalid, by name", () =>
    Effect.gen(function*() {
      const problem = (config: Config.Config.Wrap<Uploader.Options>, values: Readonly<Record<string, string>>) =>
        Effect.map(Effect.flip(using(config, values, limits)), String)
      assert.strictEqual(
        yield* problem({ strategy: Strategy.config("STRATEGY") }, {}),
        "(Missing data at STRATEGY: \"Expected STRATEGY to exist in the provided map\")"
      )
      assert.match(
        yield* problem({ memory: ByteSize.config("MEMORY") }, { MEMORY: "much" }),
        /^\(Invalid data at MEMORY: /
      )
      // Values that only the uploader itself can refuse are not defects either.
      assert.strictEqual(
        yield* problem({ partConcurrency: Config.integer("PARTS") }, { PARTS: "-1" }),
        "(Invalid data at : \"partConcurrency takes a whole number of at least 1, or Infinity for no limit, not -1.\")"
      )
    }))

  it.effect("makes an uploader of a tag of one's own, too", () =>
    Effect.gen(function*() {
      class Exports extends Uploader.Tag("Exports")<Exports>() {}
      const { limits } = yield* Effect.provide(
        Exports,
        Exports.layerConfig({ strategy: Strategy.config("EXPORTS_STRATEGY") }).pipe(
          Layer.provide(Layer.succeed(Destination.Destination, Recording.make().destination)),
          Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["EXPORTS_STRATEGY", "pool:7"]]))))
        )
      )
      assert.strictEqual((yield* limits.current).concurrency, 7)
    }))

  it.effect("leaves other defects what they are", () =>
    Effect.gen(function*() {
      const strategy = {
        ...Strategy.unlimited,
        controllers: [{ name: "broken", start: () => Effect.dieMessage("broken") }]
      }
      const exit = yield* Effect.exit(using({ strategy: Config.succeed(strategy) }, {}, limits))
      assert.deepStrictEqual(
        Option.map(Exit.causeOption(exit), ({ _tag }) => _tag),
        Option.some("Die" as const)
      )
    }))
})
