import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as fs from "node:fs"
import * as AwsCredentials from "../../src/targets/AwsCredentials.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const keys = { AWS_ACCESS_KEY_ID: "AK", AWS_SECRET_ACCESS_KEY: "secret", AWS_SESSION_TOKEN: "token" }

const make = (environment: Record<string, string>, profile?: string) =>
  AwsCredentials.make({ profile, region: undefined, environment })

/** Profiles of AWS for as long as the scope lasts. The chain reads where they are from the process's environment. */
const profiles = (files: { readonly config?: string; readonly credentials?: string }) =>
  Effect.gen(function*() {
    const directory = yield* TemporaryDirectory.withFiles({
      config: files.config ?? "",
      credentials: files.credentials ?? ""
    })
    const variables: Record<string, string> = {
      AWS_CONFIG_FILE: `${directory}/config`,
      AWS_SHARED_CREDENTIALS_FILE: `${directory}/credentials`,
      AWS_EC2_METADATA_DISABLED: "true",
      HOME: directory
    }
    const before = { ...process.env }
    yield* Effect.acquireRelease(
      Effect.sync(() => Object.assign(process.env, variables)),
      () =>
        Effect.sync(() => {
          for (const name of Object.keys(variables)) {
            if (before[name] === undefined) delete process.env[name]
            else process.env[name] = before[name]
          }
        })
    )
    return directory
  })

describe("AwsCredentials", () => {
  it.effect("are those in the environment, before any profile there, and not before one that was asked for", () =>
    Effect.gen(function*() {
      const source = make({ ...keys, AWS_PROFILE: "other" })
      assert.strictEqual(source.name, "the environment")
      const found = yield* source.credentials
      assert.strictEqual(found.accessKeyId, "AK")
      assert.strictEqual(Redacted.value(found.secretAccessKey), "secret")
      assert.strictEqual(found.sessionToken && Redacted.value(found.sessionToken), "token")
      assert.notInclude(JSON.stringify(found), "\"secret\"")
      assert.strictEqual(make(keys, "other").name, "the profile \"other\"")
      assert.strictEqual(make({ AWS_PROFILE: "other" }).name, "the profile \"other\"")
      assert.strictEqual(make({}).name, "the credentials chain of AWS")
    }))

  it.scopedLive("are requested again when they have expired, also from a program", () =>
    Effect.gen(function*() {
      const directory = yield* profiles({ config: "[profile p]\ncredential_process = sh /nonexistent\n" })
      fs.writeFileSync(
        `${directory}/give`,
        `echo x >> ${directory}/count; echo '{"Version":1,"AccessKeyId":"AK'$(wc -l < ${directory}/count)'",` +
          "\"SecretAccessKey\":\"s\",\"SessionToken\":\"t\",\"Expiration\":\"2099-01-01T00:00:00Z\"}'"
      )
      fs.writeFileSync(`${directory}/config`, `[profile p]\ncredential_process = sh ${directory}/give\n`)
      const { credentials } = make({}, "p")
      const first = yield* credentials
      assert.strictEqual(first.accessKeyId.replace(/\s/g, ""), "AK1")
      assert.strictEqual(first.expiresAt, Date.parse("2099-01-01T00:00:00Z"))
      assert.strictEqual((yield* credentials).accessKeyId.replace(/\s/g, ""), "AK2")
    }))

  it.scopedLive("are those of a profile with any name, and of one that it names", () =>
    Effect.gen(function*() {
      const directory = yield* profiles({
        config: "[profile 'my team']\nregion = eu-1\n[profile 'in the config']\naws_access_key_id = AKCONFIG\n" +
          "aws_secret_access_key = s\n[profile 'by program']\ncredential_process = sh give\n",
        credentials: "[my team]\naws_access_key_id = AKTEAM\naws_secret_access_key = s\n" +
          "[my big team]\naws_access_key_id = AKBIG\naws_secret_access_key = s\n"
      })
      fs.writeFileSync(
        `${directory}/give`,
        "echo '{\"Version\":1,\"AccessKeyId\":\"AKGIVEN\",\"SecretAccessKey\":\"s\"}'"
      )
      fs.writeFileSync(
        `${directory}/config`,
        fs.readFileSync(`${directory}/config`, "utf8").replace("sh give", `sh ${directory}/give`)
      )
      for (
        const [profile, keyId] of [
          ["my team", "AKTEAM"],
          ["my big team", "AKBIG"],
          ["in the config", "AKCONFIG"],
          ["by program", "AKGIVEN"]
        ]
      ) {
        assert.strictEqual((yield* make({}, profile).credentials).accessKeyId, keyId)
      }
      // Later changes to the files are found, too.
      const source = make({}, "my team")
      yield* source.credentials
      fs.writeFileSync(
        `${directory}/credentials`,
        "[my team]\naws_access_key_id = AKNEW\naws_secret_access_key = s\n"
      )
      assert.strictEqual((yield* source.credentials).accessKeyId, "AKNEW")
      const { message } = yield* Effect.flip(make({}, "no such team").credentials)
      assert.include(message, "\"no such team\"")
      assert.notInclude(message, "sluice-")
    }))

  it.scopedLive("say why there are none, and no secrets", () =>
    Effect.gen(function*() {
      yield* profiles({
        config: "[profile broken]\ncredential_process = sh -c 'echo CANARY >&2; exit 1' --password CANARY\n" +
          "[profile torn]\ncredential_process = echo CANARY\n" +
          "[profile sso]\nsso_start_url = https://x.invalid\nsso_region = us-east-1\nsso_account_id = 1\nsso_role_name = r\n" +
          "[profile token]\nweb_identity_token_file = /nonexistent/CANARY\nrole_arn = arn:aws:iam::1:role/r\n"
      })
      const why = (profile?: string) => Effect.map(Effect.flip(make({}, profile).credentials), (error) => error)
      const said = yield* Effect.forEach(["broken", "torn", "sso", "token", "absent"], why)
      for (const error of said) {
        assert.notInclude(JSON.stringify(error), "CANARY\\n")
        assert.notMatch(error.message, /--password|CANARY(?!\/|$)/)
        assert.include(["Rejected", "AuthExpired"], error._tag)
      }
      const [broken, torn, sso, token, absent] = said.map(({ message }) => message)
      assert.include(broken, "the profile \"broken\" does not exist, or its credentials do not work")
      assert.include(torn, "the profile \"torn\" does not exist, or its credentials do not work")
      assert.include(sso, "aws sso login --profile sso")
      assert.include(token, "\"token\"")
      assert.include(absent, "the profile \"absent\" does not exist")
      const none = yield* why()
      assert.include(none.message, "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    }))
})
