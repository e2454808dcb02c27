import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as OpenFiles from "../../src/OpenFiles.js"
import * as FileServer from "../support/FileServer.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const bin = path.resolve(import.meta.dirname, "../../dist/bin.js")

const tooFew =
  "sluice: This process may not open enough files at once. Raise the limit, for example with ulimit -n 1024, and run it " +
  "again.\n"

const withoutJournal =
  "sluice: continuing without a journal: after a crash, everything would start over. There is no home directory for it. " +
  "Name a directory with --journal DIR.\n"

describe("sluice, in odd surroundings", { timeout: 120_000 }, () => {
  describe("without a home directory", () => {
    it.scopedLive("uploads without a journal, says so, and leaves nothing where it was started", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a" })
        for (const HOME of ["", "relative"]) {
          const env = { HOME, XDG_STATE_HOME: "state" }
          const ended = yield* Sluice.run(["upload", "src", "to", "--quiet"], { cwd: root, env })
          assert.deepStrictEqual(ended, { exitCode: 0, signal: null, stdout: "", stderr: withoutJournal })
          const listed = yield* Sluice.run(["uploads", "ls"], { cwd: root, env })
          assert.strictEqual(listed.exitCode, 0)
        }
        assert.deepStrictEqual(TemporaryDirectory.read(root), { "src/a.txt": "a", "to/a.txt": "a" })
      }))

    it.scopedLive.skipIf(process.getuid?.() !== 0)(
      "uploads as a user that has no name either",
      () =>
        Effect.gen(function*() {
          const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a" })
          fs.chmodSync(root, 0o777)
          const { status, stderr } = spawnSync(
            process.execPath,
            [
              "-e",
              `process.setgroups([]); process.setgid(4242); process.setuid(4242);
            process.argv = [process.argv[0], ${JSON.stringify(bin)}, "upload", "src", "to", "--quiet"];
            import(${JSON.stringify(bin)})`
            ],
            { cwd: root, env: {}, encoding: "utf8" }
          )
          assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: withoutJournal })
          assert.deepStrictEqual(TemporaryDirectory.read(`${root}/to`), { "a.txt": "a" })
        })
    )

    it.scopedLive("asks for keys of a profile as if there were none", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ a: "a", ".aws/config": "[default]\nregion = eu-west-7" })
        const env = { HOME: "", XDG_STATE_HOME: "", AWS_EC2_METADATA_DISABLED: "true", AWS_REGION: "eu-west-1" }
        const args = ["upload", "a", "s3://bucket/p", "--endpoint", "http://127.0.0.1:9", "--retries", "0"]
        const { exitCode, stderr } = yield* Sluice.run(args, { cwd: root, env })
        assert.strictEqual(exitCode, 4)
        assert.notInclude(stderr, "should not have")
        assert.include(stderr, "credentials")
      }))
  })

  it.scopedLive("in a directory that no longer exists, says so if that matters", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a" })
      const within = (...args: ReadonlyArray<string>) => {
        const gone = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-gone-"))
        const script = "cd \"$GONE\" && rmdir \"$GONE\" && exec \"$0\" \"$@\""
        const { status, stderr } = spawnSync("sh", ["-c", script, process.execPath, bin, ...args], {
          env: Sluice.environment({ GONE: gone, XDG_STATE_HOME: `${root}/state` }),
          encoding: "utf8"
        })
        return { status, stderr }
      }
      assert.deepStrictEqual(within("upload", "src", `${root}/to`), {
        status: 2,
        stderr: "sluice: The current directory no longer exists. Change to another one, or give absolute paths.\n"
      })
      assert.deepStrictEqual(within("upload", `${root}/src`, `${root}/to`, "--quiet"), { status: 0, stderr: "" })
    }))

  describe.skipIf(process.platform !== "linux")("with few files to have open", () => {
    const files = Object.fromEntries(
      Array.from({ length: 600 }, (_, i) => [`src/${i % 40}/${i}.txt`, `${i} `.repeat(i)])
    )

    /** Runs `sluice` where no process may have more than so many files open. */
    const limited = (most: number, args: ReadonlyArray<string>, cwd: string) =>
      Effect.async<{ readonly exitCode: number | null; readonly stderr: string }>((resume) => {
        const script = "ulimit -n \"$MOST\" && exec \"$0\" \"$@\""
        const env = Sluice.environment({ MOST: String(most), XDG_STATE_HOME: `${cwd}/state` })
        const child = spawn("sh", ["-c", script, process.execPath, bin, ...args], { cwd, env })
        let stderr = ""
        child.stderr.on("data", (text) => stderr += String(text))
        child.on("close", (exitCode) => resume(Effect.succeed({ exitCode, stderr })))
      })

    it.scopedLive("works, or says that the limit is too low and what to do", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a" })
        for (
          const args of [["upload", "src", "to", "--quiet"], ["uploads", "ls", "--json"], ["verify", "src", "src"]]
        ) {
          for (const most of [21, 23, 24, 26, 28]) {
            const ended = yield* limited(most, args, root)
            if (ended.exitCode !== 0) assert.deepStrictEqual(ended, { exitCode: 1, stderr: tooFew })
          }
        }
      }))

    it("says so for any place in an error", () => {
      const full = Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" })
      assert.strictEqual(`sluice: ${OpenFiles.problemOf(full)}\n`, tooFew)
      assert.strictEqual(`sluice: ${OpenFiles.problemOf(new Error("Load failed.", { cause: full }))}\n`, tooFew)
      assert.match(OpenFiles.problemOf({ code: "ENFILE" }) ?? "", /^This machine/)
      const loop: { cause?: unknown } = {}
      loop.cause = loop
      assert.deepStrictEqual([loop, undefined, "EMFILE", new Error("EMFILE")].map(OpenFiles.problemOf), [
        undefined,
        undefined,
        undefined,
        undefined
      ])
    })

    for (const [most, concurrency] of [[30, 8], [64, 100]] as const) {
      it.scopedLive(`uploads all of them, fewer at once: ${most} open files, ${concurrency} uploads`, () =>
        Effect.gen(function*() {
          const root = yield* TemporaryDirectory.withFiles({ ...files, "src/large": "x".repeat(20_000_000) })
          const flags = ["--concurrency", String(concurrency), "--quiet", "--part-size", "1MiB"]
          const local = yield* limited(most, ["upload", "src", "to", ...flags], root)
          assert.deepStrictEqual(local, { exitCode: 0, stderr: "" })
          assert.deepStrictEqual(TemporaryDirectory.read(`${root}/to`), TemporaryDirectory.read(`${root}/src`))
          const verified = yield* limited(most, ["verify", "src", "to", "--quiet"], root)
          assert.deepStrictEqual(verified, { exitCode: 0, stderr: "" })
          const server = yield* FileServer.start()
          const remote = yield* limited(most, ["upload", "src", server.url, ...flags], root)
          assert.deepStrictEqual(remote, { exitCode: 0, stderr: "" })
          assert.strictEqual(server.stored.size, 601)
        }))
    }
  })
})
