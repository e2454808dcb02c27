import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { program } from "../src/config-and-layers.js"
import * as S3Server from "./S3Server.js"
import * as Transcript from "./Transcript.js"

const withConfig = (values: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))

const keys = { AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: "secret" }

describe("config-and-layers", () => {
  it.scopedLive("uploads where, and as, the configuration says", () =>
    Effect.gen(function*() {
      const server = yield* S3Server.serve
      const values = { ...keys, S3_BUCKET: "backups", S3_ENDPOINT: server.url }
      const { lines } = yield* Transcript.printed(program).pipe(
        withConfig({ ...values, S3_PREFIX: "films/", STRATEGY: "pool:1", PART_SIZE: "5 MiB" })
      )
      assert.deepStrictEqual(lines, ["2 of 2 films, 12.0 MiB"])
      assert.deepStrictEqual(server.log.filter((line) => line.includes("/0.mkv")), [
        "POST /backups/films/2026-05-01/0.mkv?uploads=",
        "PUT /backups/films/2026-05-01/0.mkv?partNumber=1&uploadId=1 5242880",
        "PUT /backups/films/2026-05-01/0.mkv?partNumber=2&uploadId=1 1048576",
        "POST /backups/films/2026-05-01/0.mkv?uploadId=1"
      ])
      const before = server.log.length
      yield* Transcript.printed(program).pipe(withConfig(values))
      assert.deepStrictEqual(server.log.slice(before).toSorted(), [
        "PUT /backups/2026-05-01/0.mkv 6291456",
        "PUT /backups/2026-05-01/1.mkv 6291456"
      ])
    }))

  it.live("fails with the name of each variable that is missing or invalid", () =>
    Effect.gen(function*() {
      const missing = String(yield* Effect.flip(program.pipe(withConfig({}))))
      for (const name of ["S3_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) assert.include(missing, name)
      const values = { ...keys, S3_BUCKET: "backups", STRATEGY: "fast" }
      assert.match(String(yield* Effect.flip(program.pipe(withConfig(values)))), /^\(Invalid data at STRATEGY: /)
    }))
})
