import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { program } from "../src/upload-to-s3.js"
import * as S3Server from "./S3Server.js"
import * as Transcript from "./Transcript.js"

describe("upload-to-s3", () => {
  it.scopedLive("a small file in one request, a large one in parts, all of them signed", () =>
    Effect.gen(function*() {
      const server = yield* S3Server.serve
      const { lines } = yield* Transcript.printed(program).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(
          new Map([
            ["S3_BUCKET", "backups"],
            ["S3_ENDPOINT", server.url],
            ["AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"],
            ["AWS_SECRET_ACCESS_KEY", "secret"]
          ])
        ))
      )
      assert.deepStrictEqual(lines, [
        "notes/today.txt: 14 B, md5 KJn58EUwoqrz6s2sHk9Duw==",
        "films/holiday.mkv: 20.0 MiB"
      ])
      const [small, create, ...rest] = server.log
      assert.deepStrictEqual([small, create, rest.at(-1)], [
        "PUT /backups/2026/notes/today.txt 14",
        "POST /backups/2026/films/holiday.mkv?uploads=",
        "POST /backups/2026/films/holiday.mkv?uploadId=1"
      ])
      assert.deepStrictEqual(rest.slice(0, -1).toSorted(), [
        "PUT /backups/2026/films/holiday.mkv?partNumber=1&uploadId=1 8388608",
        "PUT /backups/2026/films/holiday.mkv?partNumber=2&uploadId=1 8388608",
        "PUT /backups/2026/films/holiday.mkv?partNumber=3&uploadId=1 4194304"
      ])
    }))
})
