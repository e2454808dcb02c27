import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as FileServer from "../support/FileServer.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"
import * as TusServer from "../support/TusServer.js"

const MiB = 1024 * 1024

const report = (text: string) => Sluice.jsonLines(text).at(-1) ?? {}

/** A directory with a large file and small ones, and a place of its own for journals. */
const place = (bytes = 6 * MiB) =>
  Effect.gen(function*() {
    const root = yield* TemporaryDirectory.withFiles({ "src/small-1": "1", "src/small-2": "2" })
    fs.writeFileSync(`${root}/src/big`, randomBytes(bytes))
    return { root, options: { cwd: root, env: { XDG_STATE_HOME: `${root}/state` } } }
  })

/** All files below a directory, hidden ones too. */
const names = (directory: string) => Object.keys(TemporaryDirectory.read(directory))

const isWhole = (root: string) => {
  assert.deepStrictEqual(names(`${root}/to`), ["big", "small-1", "small-2"])
  assert.isTrue(fs.readFileSync(`${root}/to/big`).equals(fs.readFileSync(`${root}/src/big`)))
}

/** The one journal below a state directory. */
const journalIn = (root: string) => {
  const [name = ""] = fs.readdirSync(`${root}/state/sluice`)
  return `${root}/state/sluice/${name}`
}

const slowly = ["--part-size", "256KiB", "--bandwidth", "2MiB/s"]

/** An upload that has stored some parts. */
const halfway = (args: ReadonlyArray<string>, { options, root }: Effect.Effect.Success<ReturnType<typeof place>>) =>
  Effect.gen(function*() {
    const sluice = yield* Sluice.start(args, options)
    yield* Effect.promise(async () => {
      for (;;) {
        const text = fs.existsSync(`${root}/state/sluice`)
          ? await fs.promises.readFile(`${journalIn(root)}/journal`, "utf8").catch(() => "")
          : ""
        if (/ 1P\{.*\n.* 1P\{/.test(text)) return
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    })
    return sluice
  })

describe("sluice upload, with a journal", { timeout: 120_000 }, () => {
  it.scopedLive("continues after it was killed, any number of times", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const { options, root } = here
      for (let kills = 0; kills < 3; kills++) {
        const sluice = yield* halfway(["upload", "src", "to", ...slowly], here)
        yield* sluice.kill("SIGKILL")
        yield* sluice.ended
        assert.isFalse(fs.existsSync(`${root}/to/big`))
      }
      const { exitCode, stderr, stdout } = yield* Sluice.run(
        ["upload", "src", "to", "--json", "--part-size", "256KiB"],
        options
      )
      assert.strictEqual(exitCode, 0)
      isWhole(root)
      const { bytes } = report(stdout) as { bytes: { total: number; uploaded: number; resumed: number } }
      assert.isAtLeast(bytes.resumed, 2 * 256 * 1024)
      assert.match(stderr, /An earlier run had stored .* of it, which was not sent again\./)
      const resumed = Sluice.jsonLines(stdout).find((line) => line["_tag"] === "UploadResumed")
      assert.strictEqual(resumed?.["key"], "big")
    }))

  it.scopedLive("does not send again to a tus server what it had uploaded when it was killed", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 41 }, (_, i) => `file ${i}`)
      const root = yield* TemporaryDirectory.withFiles(Object.fromEntries(names.map((name) => [`src/${name}`, name])))
      let patched = 0
      let isWell = false
      const { address, uploads } = yield* TusServer.start({
        refuse: (method) => method === "PATCH" && ++patched > 20 && !isWell ? 503 : undefined
      })
      const options = { cwd: root, env: { XDG_STATE_HOME: `${root}/state` } }
      const command = ["upload", "src", address, "--concurrency", "1"]
      const sluice = yield* Sluice.start(command, options)
      yield* Effect.promise(async () => {
        for (;;) {
          const text = fs.existsSync(`${root}/state/sluice`)
            ? await fs.promises.readFile(`${journalIn(root)}/journal`, "utf8").catch(() => "")
            : ""
          if ((text.match(/ 1W/g)?.length ?? 0) === 20) return
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
      })
      yield* sluice.kill("SIGKILL")
      yield* sluice.ended
      isWell = true
      const { exitCode, stderr, stdout } = yield* Sluice.run([...command, "--json"], options)
      assert.strictEqual(exitCode, 0, stderr)
      const whole = Array.from(uploads.values()).filter(({ body, length }) => body.length === length)
      assert.deepStrictEqual(whole.map(({ body }) => body).sort(), [...names].sort())
      const { files } = report(stdout) as { files: { uploaded: number; skipped: number } }
      assert.deepInclude(files, { uploaded: 21, skipped: 20 })
      // Addresses must not be shown to other readers.
      assert.notInclude(stdout + stderr, "/files/0")
    }))

  it.scopedLive("keeps little, and for the user alone", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const { options, root } = here
      const args = ["upload", "src", "to", ...slowly]
      const sluice = yield* halfway(args, here)
      yield* sluice.kill("SIGTERM")
      assert.strictEqual((yield* sluice.ended).exitCode, 130)
      const journal = journalIn(root)
      assert.isBelow(fs.statSync(`${journal}/journal`).size, 4096)
      assert.deepStrictEqual(names(journal), ["journal"])
      assert.deepStrictEqual(
        [`${root}/state/sluice`, journal, `${journal}/journal`].map((file) =>
          (fs.statSync(file).mode & 0o777).toString(8)
        ),
        ["700", "700", "600"]
      )
      // Nothing of one that had nothing to keep, and of none that has ended well.
      assert.strictEqual((yield* Sluice.run(["upload", "src", "other"], options)).exitCode, 0)
      assert.deepStrictEqual(fs.readdirSync(`${root}/state/sluice`), [path.basename(journal)])
      assert.strictEqual((yield* Sluice.run(args.slice(0, 3), options)).exitCode, 0)
      assert.deepStrictEqual(fs.readdirSync(`${root}/state/sluice`), [])
    }))

  it.scopedLive("is the only one at its journal", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const { options, root } = here
      const first = yield* halfway(["upload", "src", "to", ...slowly], here)
      // Stands still meanwhile, however long the other one takes to start.
      yield* first.kill("SIGSTOP")
      const second = yield* Sluice.run(["upload", "src", "to"], options)
      yield* first.kill("SIGCONT")
      assert.strictEqual(second.exitCode, 5)
      assert.match(
        second.stderr,
        /^sluice: The journal in .* is in use by process \d+ since .*\. Wait for it to end, or give this upload its own journal with --journal DIR\.\n$/
      )
      assert.strictEqual((yield* first.ended).exitCode, 0)
      isWhole(root)
    }))

  it.scopedLive("continues without one, and says so, if its directory cannot be written to", () =>
    Effect.gen(function*() {
      const { root } = yield* place()
      fs.writeFileSync(`${root}/state`, "a file")
      const options = { cwd: root, env: { XDG_STATE_HOME: `${root}/state` } }
      const { exitCode, stderr } = yield* Sluice.run(["upload", "src", "to"], options)
      assert.strictEqual(exitCode, 0)
      assert.match(stderr, /^sluice: continuing without a journal: after a crash, everything would start over\. /)
      isWhole(root)
      const named = yield* Sluice.run(["upload", "src", "to", "--journal", "state/x"], options)
      assert.strictEqual(named.exitCode, 5)
      assert.match(named.stderr, /^sluice: The journal in .*state\/x cannot be created/)
    }))

  it.scopedLive("takes no journal of another destination, and leaves it as it was", () =>
    Effect.gen(function*() {
      const { options, root } = yield* place()
      assert.strictEqual((yield* Sluice.run(["upload", "src", "to", "--journal", "own"], options)).exitCode, 0)
      const before = fs.readFileSync(`${root}/own/journal`)
      const { exitCode, stderr } = yield* Sluice.run(["upload", "src", "other", "--journal", "own"], options)
      assert.deepStrictEqual([exitCode, stderr], [
        5,
        `sluice: The journal in own is for ${root}/to, not for ${root}/other.\n`
      ])
      assert.deepStrictEqual(fs.readFileSync(`${root}/own/journal`), before)
      assert.isFalse(fs.existsSync(`${root}/state`))
      yield* Sluice.run(["upload", "src", "third", "--no-journal"], options)
      assert.isFalse(fs.existsSync(`${root}/state`))
    }))

  it.scopedLive("keeps what is stored when it is stopped twice, and continues", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const { options, root } = here
      const sluice = yield* halfway(["upload", "src", "to", ...slowly], here)
      yield* sluice.kill("SIGINT")
      yield* sluice.says("press Ctrl-C again")
      yield* sluice.kill("SIGINT")
      const { exitCode, stderr } = yield* sluice.ended
      assert.strictEqual(exitCode, 130)
      assert.match(stderr, /Kept the stored part of 1 large file, .* [kM]B: the same command continues it\./)
      const ls = yield* Sluice.run(["uploads", "ls"], options)
      assert.match(ls.stdout, /^DESTINATION .*\n.*\/to {2}big .* of 6\.3 MB .* of 24 .*\n$/)
      const again = yield* Sluice.run(["upload", "src", "to", "--part-size", "256KiB", "--json"], options)
      assert.strictEqual(again.exitCode, 0)
      isWhole(root)
      const { bytes } = report(again.stdout) as { bytes: { resumed: number } }
      assert.isAbove(bytes.resumed, 0)
      assert.strictEqual((yield* Sluice.run(["uploads", "ls"], options)).stderr, "There are no unfinished uploads.\n")
    }))

  it.scopedLive("leaves nothing when it is stopped with --on-interrupt abort", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const { options, root } = here
      const sluice = yield* halfway(["upload", "src", "to", "--on-interrupt", "abort", ...slowly], here)
      yield* sluice.kill("SIGTERM")
      const { exitCode, stderr } = yield* sluice.ended
      assert.strictEqual(exitCode, 130)
      assert.notInclude(stderr, "Kept")
      assert.deepStrictEqual(names(`${root}/to`).filter((name) => !name.startsWith("small")), [])
      assert.strictEqual((yield* Sluice.run(["uploads", "ls"], options)).stdout, "")
    }))

  it.scopedLive("starts over if the file or the part size has changed", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const { options, root } = here
      const killed = Effect.gen(function*() {
        const sluice = yield* halfway(["upload", "src", "to", ...slowly], here)
        yield* sluice.kill("SIGKILL")
        yield* sluice.ended
      })
      const restarted = (text: string) =>
        Sluice.jsonLines(text).filter((line) => line["_tag"] === "UploadRestarted").map((line) => line["reason"])
      yield* killed
      fs.writeFileSync(`${root}/src/big`, randomBytes(3 * MiB))
      const changed = yield* Sluice.run(["upload", "src", "to", "--part-size", "256KiB", "--json"], options)
      assert.deepStrictEqual(restarted(changed.stdout), ["SourceChanged"])
      isWhole(root)
      fs.rmSync(`${root}/to`, { recursive: true })
      fs.rmSync(`${root}/state`, { recursive: true })
      yield* killed
      const resized = yield* Sluice.run(["upload", "src", "to", "--part-size", "512KiB", "--json"], options)
      assert.deepStrictEqual(restarted(resized.stdout), ["PartSizeChanged"])
      isWhole(root)
    }))

  it.scopedLive("fails a file that is truncated in the meantime, and stores nothing of it", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const { root } = here
      const sluice = yield* halfway(["upload", "src", "to", "--failed", "failed", ...slowly], here)
      fs.truncateSync(`${root}/src/big`, MiB)
      const { exitCode, stderr } = yield* sluice.ended
      assert.strictEqual(exitCode, 1)
      assert.match(stderr, /Failed 1 file:\n {2}big: .*(changed|ended|shorter|grew)/i)
      assert.deepStrictEqual(names(`${root}/to`), ["small-1", "small-2"])
    }))

  it.scopedLive("sends large files in parts of the size that is asked for, so many at once", () =>
    Effect.gen(function*() {
      const { options, root } = yield* place()
      const server = yield* FileServer.start({ parts: true })
      const args = [
        "upload",
        "src",
        server.url,
        "--content-range",
        "--json",
        "--checksum",
        "sha256",
        "--memory",
        "1MiB"
      ]
      const { exitCode, stdout } = yield* Sluice.run(
        [...args, "--part-size", "1MiB", "--part-concurrency", "2"],
        options
      )
      assert.strictEqual(exitCode, 0)
      // A request for each part, and one to say that this is all.
      assert.deepNestedInclude(report(stdout), { "files.uploaded": 3, "bytes.uploaded": 6 * MiB + 2 })
      assert.strictEqual(server.requests("big"), 7)
      assert.isTrue(
        Buffer.from(server.stored.get("big")?.body ?? "", "latin1").equals(fs.readFileSync(`${root}/src/big`))
      )
      const whole = yield* Sluice.run([
        "upload",
        "src",
        `${server.url}/whole`,
        "--part-size",
        "7MiB",
        "--content-range"
      ], options)
      assert.strictEqual(whole.exitCode, 0)
      assert.strictEqual(server.requests("whole/big"), 1)
    }))

  it.scopedLive("writes down and prints no secret", () =>
    Effect.gen(function*() {
      const { root } = yield* place()
      const options = { cwd: root, env: { XDG_STATE_HOME: `${root}/state`, SLUICE_HTTP_TOKEN: "canary-token" } }
      let parts = 0
      const server = yield* FileServer.start({
        parts: true,
        answer: (key) => key === "big" && ++parts > 3 ? 403 : 201
      })
      const address = `${server.url}/{key}?signature=canary-query`
      const args = ["--content-range", "--part-size", "1MiB", "--json", "--report", "report", "--failed", "failed"]
      const upload = yield* Sluice.run(["upload", "src", address, ...args], options)
      assert.strictEqual(upload.exitCode, 1)
      const commands = [["ls"], ["ls", "--json"], ["abort"], ["abort", "--all"], ["abort", address]]
      const others = yield* Effect.forEach(commands, (command) => Sluice.run(["uploads", ...command], options))
      const written = names(root).filter((name) => !name.startsWith("src")).map((name) =>
        fs.readFileSync(path.join(root, name), "utf8")
      )
      const everything = [upload, ...others].flatMap(({ stderr, stdout }) => [stderr, stdout]).concat(written).join(
        "\n"
      )
      assert.include(everything, "answered 403")
      assert.notMatch(everything, /canary/)
    }))
})

describe("sluice upload -", { timeout: 60_000 }, () => {
  it.scopedLive("uploads standard input, in parts and empty too", () =>
    Effect.gen(function*() {
      const { options, root } = yield* place(0)
      const input = "0123456789".repeat(300_000)
      const { exitCode, stderr } = yield* Sluice.run(["upload", "-", "to/dump", "--part-size", "256KiB"], {
        ...options,
        input
      })
      assert.strictEqual(exitCode, 0)
      assert.match(stderr, /^Uploaded 1 file, 3\.0 MB in /)
      assert.strictEqual((yield* Sluice.run(["upload", "-", `file://${root}/to/a%20b`], options)).exitCode, 0)
      assert.deepStrictEqual(TemporaryDirectory.read(`${root}/to`), { dump: input, "a b": "" })
      assert.deepStrictEqual(fs.readdirSync(`${root}/state/sluice`), [])
    }))

  it.scopedLive("is not a directory, which would look like an empty file", () =>
    Effect.gen(function*() {
      const { options, root } = yield* place(0)
      const { exitCode, stderr } = yield* Sluice.run(["upload", "-", "to/x"], { ...options, input: { file: root } })
      assert.deepStrictEqual([exitCode, stderr], [3, "sluice: Standard input is a directory: it cannot be read.\n"])
      const file = yield* Sluice.run(["upload", "-", "to/x"], { ...options, input: { file: `${root}/src/small-1` } })
      assert.strictEqual(file.exitCode, 0)
      assert.deepStrictEqual(TemporaryDirectory.read(`${root}/to`), { x: "1" })
    }))

  it.scopedLive("has to be named, and does not replace a directory", () =>
    Effect.gen(function*() {
      const { options, root } = yield* place(0)
      const { exitCode, stderr } = yield* Sluice.run(["upload", "-", "to/"], { ...options, input: "x" })
      assert.deepStrictEqual([exitCode, stderr], [
        2,
        "sluice: Standard input has no name: end the destination with one, such as backup/dump.sql.\n" +
        "Try sluice upload --help.\n"
      ])
      const directory = yield* Sluice.run(["upload", "-", "src"], { ...options, input: "x" })
      assert.strictEqual(directory.exitCode, 1)
      assert.include(directory.stderr, "A file and a directory have the same name at")
      assert.deepStrictEqual(names(`${root}/src`), ["big", "small-1", "small-2"])
    }))

  it.scopedLive("stores nothing when it is stopped before the end of its input", () =>
    Effect.gen(function*() {
      const { options, root } = yield* place(0)
      const sluice = yield* Sluice.start(["upload", "-", "to/dump", "--part-size", "256KiB"], {
        ...options,
        input: { open: true }
      })
      sluice.child.stdin.write("x".repeat(2 * MiB))
      yield* Effect.promise(async () => {
        while (names(`${root}/to`).length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
      })
      yield* sluice.kill("SIGTERM")
      assert.strictEqual((yield* sluice.ended).exitCode, 130)
      assert.isFalse(fs.existsSync(`${root}/to/dump`))
      yield* Sluice.run(["uploads", "abort", "--all"], options)
      assert.deepStrictEqual(names(`${root}/to`), [])
    }))
})
