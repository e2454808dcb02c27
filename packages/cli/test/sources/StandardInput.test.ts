import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as S3Server from "../support/S3Server.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

describe("an empty standard input", { timeout: 60_000 }, () => {
  it.scopedLive("replaces nothing that holds something, unless it may", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "to/db.sql": "good", "to/empty": "" })
      const refused = yield* Sluice.run(["upload", "-", "to/db.sql"], { cwd: root, input: "" })
      assert.strictEqual(refused.exitCode, 1)
      assert.match(
        refused.stderr,
        /^sluice: Standard input was empty, so db\.sql at .* was not replaced\..*--allow-empty/
      )
      assert.strictEqual(fs.readFileSync(`${root}/to/db.sql`, "utf8"), "good")
      const asked = yield* Sluice.run(["upload", "-", "to/db.sql", "--allow-empty"], { cwd: root, input: "" })
      assert.strictEqual(asked.exitCode, 0)
      assert.notInclude(asked.stderr, "empty")
      assert.strictEqual(fs.readFileSync(`${root}/to/db.sql`, "utf8"), "")
    }))

  it.scopedLive("is reported if it is stored", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "to/empty": "" })
      for (const name of ["new", "empty"]) {
        const { exitCode, stderr } = yield* Sluice.run(["upload", "-", `to/${name}`, "--quiet"], {
          cwd: root,
          input: ""
        })
        assert.strictEqual(exitCode, 0)
        assert.match(stderr, /^sluice: Standard input was empty, so the stored object is empty\./)
        assert.strictEqual(fs.readFileSync(`${root}/to/${name}`, "utf8"), "")
      }
    }))

  it.scopedLive("is refused if it is unknown what it would replace", () =>
    Effect.gen(function*() {
      const server = yield* S3Server.start({
        refuse: (method) => method === "HEAD" ? { status: 403, code: "AccessDenied" } : undefined
      })
      const to = ["upload", "-", "s3://bkt/db.sql", "--endpoint", server.url]
      const { exitCode, stderr } = yield* Sluice.run(to, { env: S3Server.environment, input: "" })
      assert.strictEqual(exitCode, 1)
      assert.include(stderr, "has db.sql: nothing was uploaded.")
      assert.strictEqual(server.stored.size, 0)
      const full = yield* Sluice.run(to, { env: S3Server.environment, input: "dump" })
      assert.strictEqual(full.exitCode, 0, full.stderr)
      assert.strictEqual(server.stored.get("bkt/db.sql")?.body.toString(), "dump")
    }))

  it.scopedLive("differs from slow input", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "to/db.sql": "old" })
      const sluice = yield* Sluice.start(["upload", "-", "to/db.sql"], { cwd: root, input: { open: true } })
      sluice.child.stdin.write("new ")
      sluice.child.stdin.end("content")
      assert.strictEqual((yield* sluice.ended).exitCode, 0)
      assert.strictEqual(fs.readFileSync(`${root}/to/db.sql`, "utf8"), "new content")
    }))
})

describe("standard input that ends as Ctrl-C comes", { timeout: 60_000 }, () => {
  for (
    const [what, order] of [["before it", ["end", "kill"]], ["after it", ["kill", "end"]], ["never", ["kill"]]] as const
  ) {
    it.scopedLive(`replaces nothing by a part of something: it ends ${what}`, () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "to/db.sql": "all of it" })
        const sluice = yield* Sluice.start(["upload", "-", "to/db.sql", "--json"], { cwd: root, input: { open: true } })
        const begun = new Promise<void>((resolve) => {
          sluice.child.stdout.on("data", (text: string) => {
            if (text.includes("UploadStarted")) resolve()
          })
        })
        sluice.child.stdin.write("a part ")
        yield* Effect.promise(() => begun)
        for (const step of order) {
          if (step === "end") sluice.child.stdin.end()
          else yield* sluice.kill("SIGINT")
        }
        const { exitCode, stderr } = yield* sluice.ended
        assert.strictEqual(exitCode, 130, stderr)
        assert.include(stderr, "the data from standard input is not stored")
        assert.deepStrictEqual(fs.readdirSync(`${root}/to`), ["db.sql"])
        assert.strictEqual(fs.readFileSync(`${root}/to/db.sql`, "utf8"), "all of it")
      }))
  }
})

describe("standard input that cannot be read again", () => {
  it.scopedLive("cannot be combined with a list of unfinished files", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const { exitCode, stderr } = yield* Sluice.run(["upload", "-", `${root}/x`, "--failed", `${root}/list`], {
        input: "hi"
      })
      assert.strictEqual(exitCode, 2, stderr)
      assert.include(stderr, "standard input cannot be read again")
      const failed = yield* Sluice.run(["upload", "-", root], { input: "hi" })
      assert.strictEqual(failed.exitCode === 0, false)
      assert.notInclude(failed.stderr, "--failed")
    }))
})
