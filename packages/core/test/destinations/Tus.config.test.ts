import { assert, describe, it } from "@effect/vitest"
import { Uploader, UploadFile } from "@sluice/core"
import * as Tus from "@sluice/core/destinations/Tus"
import { Config, ConfigProvider, Effect, Layer } from "effect"
import * as S3Answers from "../support/S3Answers.js"

const using = <A, E>(
  config: Config.Config.Wrap<Tus.Options>,
  values: Readonly<Record<string, string>>,
  answer: S3Answers.Respond,
  use: Effect.Effect<A, E, Uploader.Uploader>
) =>
  Effect.provide(
    use,
    Uploader.layer().pipe(
      Layer.provide(Tus.layerConfig(config)),
      Layer.provide(S3Answers.answering(answer).layer),
      Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values)))))
    )
  )

const upload = Effect.flatMap(Uploader.Uploader, (uploader) => uploader.upload(UploadFile.fromText("a.txt", "hello")))

describe("Tus.layerConfig", () => {
  it.effect("makes a destination from the configuration, and calls back the program", () =>
    Effect.gen(function*() {
      const seen: Array<S3Answers.Seen> = []
      const stored: Array<Tus.Uploaded> = []
      const config = {
        url: Config.string("TUS_URL"),
        credentials: Config.map(Config.redacted("TUS_TOKEN"), Tus.bearer),
        keyName: Config.withDefault(Config.string("TUS_KEY_NAME"), undefined),
        offer: Config.succeed({ extensions: ["creation", "creation-with-upload"] }),
        onStored: Config.succeed((uploaded: Tus.Uploaded) => Effect.sync(() => void stored.push(uploaded)))
      }
      const answer = (request: S3Answers.Seen) => {
        seen.push(request)
        return { status: 201, headers: { "tus-resumable": "1.0.0", location: "/files/1", "upload-offset": "5" } }
      }
      yield* using(config, { TUS_URL: "https://tus.example.org/files/", TUS_TOKEN: "token" }, answer, upload)
      assert.deepStrictEqual(seen.map(({ headers, method, url }) => [method, url, headers["authorization"]]), [
        ["POST", "https://tus.example.org/files/", "Bearer token"]
      ])
      assert.deepStrictEqual(stored, [{ key: "a.txt", url: "https://tus.example.org/files/1", size: 5 }])
    }))

  it.effect("fails with what is missing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(using({ url: Config.string("TUS_URL") }, {}, () => ({}), Effect.void))
      assert.match(String(error), /^\(Missing data at TUS_URL: /)
    }))
})
