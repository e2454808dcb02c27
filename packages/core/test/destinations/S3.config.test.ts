import { assert, describe, it } from "@effect/vitest"
import { Destination, Uploader, UploadFile } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import { Config, ConfigProvider, Effect, Layer, Redacted } from "effect"
import * as S3Answers from "../support/S3Answers.js"

const provider = (values: Readonly<Record<string, string>>) => ConfigProvider.fromMap(new Map(Object.entries(values)))

const keys = { AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: "s3cr3t-canary" }

/** Uploads a file to a bucket that the values describe, and returns what the server saw. */
const upload = (config: Config.Config.Wrap<S3.ConfigOptions>, values: Readonly<Record<string, string>>) =>
  Effect.gen(function*() {
    const { layer, seen } = S3Answers.answering(() => ({ status: 200 }))
    yield* Effect.flatMap(Uploader.Uploader, (uploader) => uploader.upload(UploadFile.fromText("a.txt", "hello"))).pipe(
      Effect.provide(
        Uploader.layer().pipe(
          Layer.provide(S3.layerConfig(config)),
          Layer.provide(layer),
          Layer.provide(Layer.setConfigProvider(provider(values)))
        )
      )
    )
    return seen
  })

const config = {
  bucket: Config.string("S3_BUCKET"),
  prefix: Config.withDefault(Config.string("S3_PREFIX"), undefined),
  endpoint: Config.withDefault(Config.string("S3_ENDPOINT"), undefined),
  credentials: S3.credentialsConfig
}

describe("S3.layerConfig", () => {
  it.effect("makes a bucket from the configuration", () =>
    Effect.gen(function*() {
      const values = { ...keys, S3_BUCKET: "backups", S3_PREFIX: "2026/", AWS_SESSION_TOKEN: "session" }
      const [request] = yield* upload(config, values)
      assert.strictEqual(request!.url, "https://backups.s3.us-east-1.amazonaws.com/2026/a.txt")
      assert.match(request!.headers["authorization"]!, /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\//)
      assert.strictEqual(request!.headers["x-amz-security-token"], "session")
      const [other] = yield* upload(config, { ...keys, S3_BUCKET: "backups", S3_ENDPOINT: "https://s3.example.org" })
      assert.strictEqual(other!.url, "https://s3.example.org/backups/a.txt")
      assert.notProperty(other!.headers, "x-amz-security-token")
    }))

  it.effect("takes an effect that gets credentials, which runs when they are needed", () =>
    Effect.gen(function*() {
      let asked = 0
      const credentials = Effect.sync(() => {
        asked += 1
        return { accessKeyId: "FRESH", secretAccessKey: Redacted.make("secret") }
      })
      const made = S3.layerConfig({ ...config, credentials: Config.succeed(credentials) })
      yield* Effect.provide(
        Destination.Destination,
        Layer.provide(made, [
          S3Answers.answering(() => ({})).layer,
          Layer.setConfigProvider(provider({ S3_BUCKET: "backups" }))
        ])
      )
      assert.strictEqual(asked, 0)
      const [request] = yield* upload({ ...config, credentials: Config.succeed(credentials) }, { S3_BUCKET: "backups" })
      assert.match(request!.headers["authorization"]!, /Credential=FRESH\//)
      assert.strictEqual(asked, 1)
    }))

  it.effect("fails with all names that are missing", () =>
    Effect.gen(function*() {
      const error = String(yield* Effect.flip(upload(config, {})))
      for (const name of ["S3_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) {
        assert.include(error, `Missing data at ${name}`)
      }
      assert.notInclude(error, "AWS_SESSION_TOKEN")
    }))
})

describe("S3.credentialsConfig", () => {
  const read = (values: Readonly<Record<string, string>>) =>
    Effect.withConfigProvider(S3.credentialsConfig, provider(values))

  it.effect("reads what the environment of AWS has, and keeps secrets Redacted", () =>
    Effect.gen(function*() {
      const found = yield* read({ ...keys, AWS_SESSION_TOKEN: "t0ken-canary" })
      assert.strictEqual(found.accessKeyId, "AKIDEXAMPLE")
      assert.strictEqual(Redacted.value(found.secretAccessKey), "s3cr3t-canary")
      assert.strictEqual(Redacted.value(found.sessionToken!), "t0ken-canary")
      assert.notInclude(JSON.stringify(found), "canary")
    }))

  it.effect("takes empty values for missing ones", () =>
    Effect.gen(function*() {
      assert.isUndefined((yield* read({ ...keys, AWS_SESSION_TOKEN: "" })).sessionToken)
      const error = yield* Effect.flip(read({ ...keys, AWS_SECRET_ACCESS_KEY: "" }))
      assert.match(String(error), /^\(Missing data at AWS_SECRET_ACCESS_KEY: /)
    }))
})
