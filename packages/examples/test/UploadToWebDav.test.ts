import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { program } from "../src/upload-to-webdav.js"
import * as Transcript from "./Transcript.js"
import * as WebDavServer from "./WebDavServer.js"

const authorization = `Basic ${Buffer.from("ada:s3cr3t-canary").toString("base64")}`

const upload = (server: WebDavServer.WebDavServer, password = "s3cr3t-canary") =>
  Transcript.printed(program).pipe(
    Effect.withConfigProvider(ConfigProvider.fromMap(
      new Map([["WEBDAV_URL", server.url], ["WEBDAV_USER", "ada"], ["WEBDAV_PASSWORD", password]])
    ))
  )

describe("upload-to-webdav", () => {
  it.scopedLive("creates collections, puts files, retries what passes and names what does not", () =>
    Effect.gen(function*() {
      const server = yield* WebDavServer.serve(
        authorization,
        (line, time) =>
          line === "PUT /dav/2026/may/list.txt" && time === 1
            ? { status: 503, text: "" }
            : line.startsWith("PUT /dav/private/")
            ? { status: 507, text: `The quota of <b>ada</b> is used up. You are ${authorization}.` }
            : undefined
      )
      const { lines } = yield* upload(server)
      assert.deepStrictEqual(lines, [
        "3 of 4 files uploaded; retries: 1",
        `private/diary.txt: ${server.url}/private/diary.txt answered 507: The quota of ada is used up. You are <redacted>.`
      ])
      assert.deepStrictEqual(Object.fromEntries(server.files), {
        "/dav/2026/may/notes%20%26%20drafts.txt": "Mend the gate.",
        "/dav/2026/may/list.txt": "Nails.",
        "/dav/2026/june/list.txt": "Paint."
      })
      // Each collection is created before anything is put there, and never missing.
      assert.deepStrictEqual(server.log.filter((line) => line.endsWith(" 409")), [])
      const created = server.log.filter((line) => /^MKCOL .* 201$/.test(line)).toSorted()
      assert.deepStrictEqual(created, [
        "MKCOL /dav/2026/ 201",
        "MKCOL /dav/2026/june/ 201",
        "MKCOL /dav/2026/may/ 201",
        "MKCOL /dav/private/ 201"
      ])
      assert.deepStrictEqual(server.log.filter((line) => line.startsWith("PUT")).toSorted(), [
        "PUT /dav/2026/june/list.txt 201",
        "PUT /dav/2026/may/list.txt 201",
        "PUT /dav/2026/may/list.txt 503",
        "PUT /dav/2026/may/notes%20%26%20drafts.txt 201",
        "PUT /dav/private/diary.txt 507"
      ])
    }))

  it.scopedLive("says that the password is wrong, without it", () =>
    Effect.gen(function*() {
      const server = yield* WebDavServer.serve(authorization, () => undefined)
      const { lines } = yield* upload(server, "wrong-canary")
      assert.strictEqual(lines[0], "0 of 4 files uploaded; retries: 0")
      assert.lengthOf(lines, 5)
      for (const line of lines.slice(1)) assert.match(line, /answered 401$/)
      assert.notInclude(lines.join(), "canary")
    }))
})
