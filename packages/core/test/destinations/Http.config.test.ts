import { assert, describe, it } from "@effect/vitest"
import { Uploader, UploadFile } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import { Config, ConfigProvider, Effect, Layer } from "effect"
import * as S3Answers from "../support/S3Answers.js"

const using = <A, E>(
  config: Config.Config.Wrap<Http.Options>,
  values: Readonly<Record<string, string>>,
  answer: S3Answers.Respond,
  use: Effect.Effect<A, E, Uploader.Uploader>
) =>
  Effect.provide(
    use,
    Uploader.layer().pipe(
      Layer.provide(Http.layerConfig(config)),
      Layer.provide(S3Answers.answering(answer).layer),
      Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values)))))
    )
  )

const upload = Effect.flatMap(Uploader.Uploader, (uploader) => uploader.upload(UploadFile.fromText("a.txt", "hello")))

const config = {
  url: Config.string("ARTIFACTS_URL"),
  credentials: Config.map(Config.redacted("ARTIFACTS_TOKEN"), Http.bearer),
  maxRequests: Config.withDefault(Config.integer("ARTIFACTS_REQUESTS"), undefined)
}

describe("Http.layerConfig", () => {
  const values = { ARTIFACTS_URL: "https://ci.example.org/files", ARTIFACTS_TOKEN: "token" }

  it.effect("makes a destination from the configuration", () =>
    Effect.gen(function*() {
      const seen: Array<S3Answers.Seen> = []
      yield* using(config, values, (request) => (seen.push(request), {}), upload)
      assert.deepStrictEqual(seen.map(({ headers, method, url }) => [method, url, headers["authorization"]]), [
        ["PUT", "https://ci.example.org/files/a.txt", "Bearer token"]
      ])
    }))

  it.effect("fails with what is missing or invalid", () =>
    Effect.gen(function*() {
      const problem = (values: Readonly<Record<string, string>>) =>
        Effect.map(Effect.flip(using(config, values, () => ({}), Effect.void)), String)
      assert.match(yield* problem({ ARTIFACTS_TOKEN: "token" }), /^\(Missing data at ARTIFACTS_URL: /)
      assert.match(
        yield* problem({ ...values, ARTIFACTS_REQUESTS: "0" }),
        /^\(Invalid data at : "maxRequests takes a whole number of at least 1, .* not 0\."\)$/
      )
    }))
})
