import { assert, describe, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import * as AwsProfile from "../../src/targets/AwsProfile.js"
import * as Targets from "../../src/targets/Targets.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const config = `
[default]
region = eu-default-1
endpoint_url = https://default.example.org/

[profile all]
endpoint_url = https://all.example.org
services = minio
region = eu-all-1

[profile quiet]
endpoint_url = https://quiet.example.org
ignore_configured_endpoint_urls = true

[profile spoilt]
endpoint_url = https://user:CANARY@host

[services minio]
dynamodb =
  endpoint_url = https://dynamodb.example.org
s3 =
  endpoint_url = https://minio.example.org:9000/
`

const credentials = "[plain]\naws_access_key_id = AK\nregion = eu-plain-1\n"

/** The endpoint and the region of a bucket, of which nothing is said by flags but the profile. */
const found = (
  environment: Record<string, string>,
  { address = "s3://bkt", profile }: { readonly profile?: string; readonly address?: string } = {}
) =>
  Effect.gen(function*() {
    const home = yield* TemporaryDirectory.withFiles({ ".aws/config": config, ".aws/credentials": credentials })
    const env = { HOME: home, ...environment }
    const target = yield* Either.mapLeft(Targets.parse(address, { environment: env }), (message) => ({ message }))
    const settings = { profile, region: undefined }
    const complete = yield* AwsProfile.completeTarget(target, settings, env)
    const { region } = yield* AwsProfile.completeSettings(settings, env)
    return [complete._tag === "S3" ? complete.endpoint : complete._tag, region]
  }).pipe(Effect.scoped)

describe("AwsProfile", () => {
  it.live("uses the profile's settings, those for S3 first", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* found({}), ["https://default.example.org", "eu-default-1"])
      assert.deepStrictEqual(yield* found({}, { profile: "all" }), ["https://minio.example.org:9000", "eu-all-1"])
      assert.deepStrictEqual(yield* found({ AWS_PROFILE: "all" }), ["https://minio.example.org:9000", "eu-all-1"])
      assert.deepStrictEqual(yield* found({ AWS_PROFILE: "all" }, { profile: "plain" }), [undefined, "eu-plain-1"])
      assert.deepStrictEqual(yield* found({ AWS_PROFILE: "absent" }), [undefined, undefined])
      assert.deepStrictEqual(yield* found({ AWS_PROFILE: "quiet" }), [undefined, undefined])
      assert.deepStrictEqual(yield* found({ AWS_CONFIG_FILE: "/absent", AWS_SHARED_CREDENTIALS_FILE: "/absent" }), [
        undefined,
        undefined
      ])
      assert.deepStrictEqual(yield* found({ AWS_CONFIG_FILE: "~/.aws/config" }), [
        "https://default.example.org",
        "eu-default-1"
      ])
    }))

  it.live("is found under any name, as aws configure writes it, and as users do", () =>
    Effect.gen(function*() {
      const headers: ReadonlyArray<readonly [header: string, name: string]> = [
        ["[profile 'my team']", "my team"],
        ["[profile \"my team\"]", "my team"],
        ["[profile my team]", "my team"],
        ["[profile my big team]", "my big team"],
        ["[ profile  'my team' ]  # the team's", "my team"],
        ["[profile\t'my team'] ; and [more]", "my team"],
        ["[profile 'it'\"'\"'s mine']", "it's mine"],
        ["[profile bob's]", "bob's"],
        ["[profile \"say \\\"hi\\\"\"]", "say \"hi\""],
        ["[profile a&b]", "a&b"],
        ["[profile équipe]", "équipe"],
        ["[profile 'team #1']", "team #1"],
        ["[profile 'a [b]']", "a [b]"],
        ["[profile me@host.org]", "me@host.org"],
        ["[profile __proto__]", "__proto__"],
        ["[profile 'default team']", "default team"],
        ["\ufeff[profile windows]", "windows"]
      ]
      for (const [header, name] of headers) {
        const home = yield* TemporaryDirectory.withFiles({
          ".aws/config": `${header}\r\nregion = eu-found-1 # here\r\nendpoint_url = https://found.example.org\r\n` +
            "[profile other]\nregion = eu-other-1\n",
          ".aws/credentials": `[${name}]\naws_access_key_id = AK\naws_secret_access_key = secret\n`
        })
        const settings = { profile: name, region: undefined }
        const target = Either.getOrThrow(Targets.parse("s3://bkt"))
        const complete = yield* AwsProfile.completeTarget(target, settings, { HOME: home })
        assert.strictEqual(complete._tag === "S3" && complete.endpoint, "https://found.example.org", header)
        assert.strictEqual((yield* AwsProfile.completeSettings(settings, { HOME: home })).region, "eu-found-1", header)
        const named = yield* AwsProfile.completeSettings({ profile: undefined, region: undefined }, {
          HOME: home,
          AWS_PROFILE: name
        })
        assert.strictEqual(named.region, "eu-found-1")
      }
    }).pipe(Effect.scoped))

  it.live("is not ignored if its file cannot be read", () =>
    Effect.gen(function*() {
      const home = yield* TemporaryDirectory.withFiles({
        ".aws/config/is-a-directory": "",
        ".aws/credentials": credentials
      })
      const target = Either.getOrThrow(Targets.parse("s3://bkt"))
      const settings = { profile: "plain", region: undefined }
      const { message } = yield* Effect.flip(AwsProfile.completeTarget(target, settings, { HOME: home }))
      assert.include(message, "/.aws/config is a directory")
      assert.include(message, "region and endpoint")
    }).pipe(Effect.scoped))

  it.live("does not override the environment or an address", () =>
    Effect.gen(function*() {
      const env = { AWS_ENDPOINT_URL: "https://env.example.org", AWS_DEFAULT_REGION: "eu-env-1" }
      assert.deepStrictEqual(yield* found(env), ["https://env.example.org", "eu-env-1"])
      const s3 = { ...env, AWS_ENDPOINT_URL_S3: "https://s3.example.org", AWS_REGION: "eu-env-2" }
      assert.deepStrictEqual(yield* found(s3, { profile: "all" }), ["https://s3.example.org", "eu-env-2"])
      const address = "s3://bkt?endpoint=https://typed.example.org"
      assert.deepStrictEqual(yield* found(s3, { address }), ["https://typed.example.org", "eu-env-2"])
      const ignored = { ...s3, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: "true" }
      assert.deepStrictEqual(yield* found(ignored, { profile: "all" }), [undefined, "eu-env-2"])
      assert.deepStrictEqual(yield* found({}, { address: "http://host/" }), ["Http", "eu-default-1"])
    }))

  it.live("refuses an invalid endpoint, and does not repeat it", () =>
    Effect.gen(function*() {
      const { message } = yield* Effect.flip(found({ AWS_PROFILE: "spoilt" }))
      assert.include(message, "The profile's endpoint_url must not contain a user, a password")
      assert.notInclude(message, "CANARY")
    }))
})
