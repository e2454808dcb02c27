import { assert, describe, it } from "@effect/vitest"
import type * as Journal from "@sluice/core/Journal"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as FileServer from "../support/FileServer.js"
import * as InProcess from "../support/InProcess.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const token = (key: string) => `token-of-${key.replace(/\W/g, "-")}`

/** A journal as a killed process leaves it, with half of each file stored, and these halves in a local destination. */
const leave = (directory: string, destination: string, keys: ReadonlyArray<string>) =>
  Effect.scoped(Effect.gen(function*() {
    const journal: Journal.Journal["Type"] = yield* JournalNode.make({ directory, destination, source: "/src" })
    for (const key of keys) {
      yield* journal.begin({
        key,
        token: token(key),
        size: 10,
        fingerprint: "f",
        partSize: 5,
        checksum: undefined,
        startedAt: Date.now() - 60_000
      })
      yield* journal.created(key, token(key))
      journal.partStored(key, { number: 1, size: 5 })
      if (destination.startsWith("/")) fs.writeFileSync(`${destination}/.sluice-${token(key)}.parts`, "12345")
    }
    yield* journal.flush
  })).pipe(Effect.orDie)

const place = Effect.gen(function*() {
  const root = yield* TemporaryDirectory.withFiles({ "one/done": "done", "two/done": "done" })
  yield* leave(`${root}/state/sluice/b`, `${root}/two`, ["z.mov"])
  yield* leave(`${root}/state/sluice/a`, `${root}/one`, ["y.mov", "x.mov"])
  const options = { cwd: root, env: { XDG_STATE_HOME: `${root}/state` } }
  return {
    root,
    sluice: (...args: ReadonlyArray<string>) => InProcess.run(["uploads", ...args], options),
    /** In a process of its own, as one that has a journal in use is another. */
    process: (...args: ReadonlyArray<string>) => Sluice.run(["uploads", ...args], options),
    files: () => Object.keys(TemporaryDirectory.read(root)).filter((name) => /^(one|two)\//.test(name)),
    journals: () => fs.readdirSync(`${root}/state/sluice`)
  }
})

const all = [
  "one/.sluice-token-of-x-mov.parts",
  "one/.sluice-token-of-y-mov.parts",
  "one/done",
  "two/.sluice-token-of-z-mov.parts",
  "two/done"
]

describe("sluice uploads ls", { timeout: 60_000 }, () => {
  it.scopedLive("lists unfinished uploads everywhere", () =>
    Effect.gen(function*() {
      const { root, sluice } = yield* place
      const { exitCode, stderr, stdout } = yield* sluice("ls")
      assert.deepStrictEqual([exitCode, stderr], [0, ""])
      const rows = stdout.trimEnd().split("\n").slice(1).map((line) => line.split(/ {2,}/))
      assert.deepStrictEqual(rows.map((cells) => cells.slice(0, 5)), [
        [`${root}/one`, "x.mov", "5 B of 10 B", "50%", "1 of 2"],
        [`${root}/one`, "y.mov", "5 B of 10 B", "50%", "1 of 2"],
        [`${root}/two`, "z.mov", "5 B of 10 B", "50%", "1 of 2"]
      ])
      for (const cells of rows) assert.match(cells[5] ?? "", /^1 min \d\d s$/)
      const json = Sluice.jsonLines((yield* sluice("ls", "--json")).stdout)
      assert.deepStrictEqual(json.map((line) => [line["destination"], line["key"], line["storedBytes"]]), [
        [`${root}/one`, "x.mov", 5],
        [`${root}/one`, "y.mov", 5],
        [`${root}/two`, "z.mov", 5]
      ])
      const own = Sluice.jsonLines((yield* sluice("ls", "--json", "--journal", "state/sluice/b")).stdout)
      assert.deepStrictEqual(own.map((line) => line["key"]), ["z.mov"])
    }))

  it.scopedLive("reports journals that cannot be read, and lists the others all the same", () =>
    Effect.gen(function*() {
      const { root, sluice } = yield* place
      fs.writeFileSync(`${root}/state/sluice/a/journal`, "no journal at all\n")
      fs.mkdirSync(`${root}/state/sluice/empty`)
      fs.writeFileSync(`${root}/state/sluice/stray`, "")
      const { exitCode, stderr, stdout } = yield* sluice("ls")
      assert.strictEqual(exitCode, 0)
      assert.match(stderr, /^sluice: .*sluice\/a\/journal does not begin like a journal.*\n$/)
      assert.include(stdout, "z.mov")
      const named = yield* sluice("ls", "--journal", "state/sluice/a")
      assert.strictEqual(named.exitCode, 5)
      assert.strictEqual((yield* sluice("ls", "--journal", "nowhere")).exitCode, 5)
    }))

  it.scopedLive("says that there is nothing", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const options = { env: { XDG_STATE_HOME: `${root}/state` } }
      const nothing = { exitCode: 0, stdout: "", stderr: "There are no unfinished uploads.\n" }
      assert.deepStrictEqual(yield* InProcess.run(["uploads", "ls"], options), nothing)
      assert.deepStrictEqual(yield* InProcess.run(["uploads", "abort"], options), nothing)
      assert.deepStrictEqual(yield* InProcess.run(["uploads", "abort", "--all"], options), nothing)
      assert.deepStrictEqual(yield* InProcess.run(["uploads", "ls", "--json"], options), { ...nothing, stderr: "" })
      assert.deepStrictEqual(fs.readdirSync(root), [])
    }))
})

describe("sluice uploads abort", { timeout: 60_000 }, () => {
  it.scopedLive("aborts nothing that was not named, and says what can be aborted", () =>
    Effect.gen(function*() {
      const { files, root, sluice } = yield* place
      const { exitCode, stderr, stdout } = yield* sluice("abort")
      assert.strictEqual(exitCode, 2)
      assert.include(stdout, "z.mov")
      assert.include(stderr, `\n  one:                   sluice uploads abort ${root}/one x.mov\n`)
      assert.include(stderr, "sluice uploads abort --all\n")
      assert.strictEqual((yield* sluice("abort", "--all", "one")).exitCode, 2)
      assert.strictEqual((yield* sluice("abort", "elsewhere")).exitCode, 1)
      const missing = yield* sluice("abort", "one", "z.mov")
      assert.deepStrictEqual(
        [missing.exitCode, missing.stderr],
        [1, `There is no unfinished upload of z.mov to ${root}/one.\n`]
      )
      assert.deepStrictEqual(files(), all)
    }))

  it.scopedLive("aborts one, those of a destination, or all, and removes journals with nothing in them", () =>
    Effect.gen(function*() {
      const { files, journals, root, sluice } = yield* place
      const one = yield* sluice("abort", "one", "x.mov")
      assert.deepStrictEqual([one.exitCode, one.stderr], [0, "Aborted 1 upload, with 5 B stored of it:\n  x.mov\n"])
      assert.deepStrictEqual(files(), all.slice(1))
      assert.deepStrictEqual(journals(), ["a", "b"])
      assert.strictEqual((yield* sluice("abort", `file://${root}/one`)).exitCode, 0)
      assert.deepStrictEqual(files(), all.slice(2))
      assert.deepStrictEqual(journals(), ["b"])
      assert.strictEqual((yield* sluice("abort", "--all")).exitCode, 0)
      assert.deepStrictEqual(files(), ["one/done", "two/done"])
      assert.deepStrictEqual(journals(), [])
    }))

  it.scopedLive("sweeps leftovers of a killed process, and of no other", () =>
    Effect.gen(function*() {
      const { files, process, root } = yield* place
      const [own, foreign] = ["a", "b"].map((letter) => letter.repeat(32))
      yield* Effect.scoped(Effect.flatMap(
        JournalNode.make({ directory: `${root}/state/sluice/b`, destination: `${root}/two` }),
        (journal) => journal.own(own ?? "")
      )).pipe(Effect.orDie)
      TemporaryDirectory.write(root, { [`two/.sluice-${own}-1.part`]: "", [`two/.sluice-${foreign}-1.part`]: "" })
      const { exitCode, stderr } = yield* process("abort", "two")
      assert.strictEqual(exitCode, 0)
      assert.include(stderr, "Removed 1 leftover of a killed upload.")
      assert.deepStrictEqual(files().slice(3), [`two/.sluice-${foreign}-1.part`, "two/done"])
    }))

  it.scopedLive("leaves uploads that are in use, and aborts the others", () =>
    Effect.gen(function*() {
      const { files, process, root } = yield* place
      yield* Effect.orDie(JournalNode.make({ directory: `${root}/state/sluice/a`, destination: `${root}/one` }))
      assert.include((yield* process("ls")).stdout, "in progress")
      const { exitCode, stderr } = yield* process("abort", "--all")
      assert.strictEqual(exitCode, 5)
      assert.match(
        stderr,
        /Nothing was aborted at .*\/one: The journal in .* is in use by process \d+ .* Wait for it to end\./
      )
      assert.deepStrictEqual(files(), [...all.slice(0, 3), "two/done"])
    }))

  it.scopedLive("does not mistake an unmounted disk for a lost one", () =>
    Effect.gen(function*() {
      const { journals, root, sluice } = yield* place
      fs.renameSync(`${root}/two`, `${root}/away`)
      const { exitCode, stderr } = yield* sluice("abort", "two")
      assert.strictEqual(exitCode, 1)
      assert.include(stderr, `If it is gone for good, remove its journal, ${root}/state/sluice/b.`)
      assert.isFalse(fs.existsSync(`${root}/two`))
      assert.deepStrictEqual(journals(), ["a", "b"])
      fs.renameSync(`${root}/away`, `${root}/two`)
      assert.strictEqual((yield* sluice("abort", "two")).exitCode, 0)
    }))

  it.scopedLive("ends uploads at a server, and never an object that is complete", () =>
    Effect.gen(function*() {
      const { journals, root, sluice } = yield* place
      fs.rmSync(`${root}/state`, { recursive: true })
      const server = yield* FileServer.start({
        parts: true,
        answer: (key, method) => key === "stuck" && method === "DELETE" ? 403 : 201
      })
      yield* leave(`${root}/state/sluice/c`, server.url, ["gone", "complete", "half", "stuck"])
      server.stored.set("complete", { headers: {}, body: "0123456789" })
      for (const key of ["half", "stuck"]) server.unfinished.set(key, Buffer.from("12345"))
      const { exitCode, stderr } = yield* sluice("abort", server.url)
      assert.strictEqual(exitCode, 1)
      assert.match(
        stderr,
        /^Aborted 3 uploads, .*:\n {2}gone\n {2}complete\n {2}half\nCould not abort 1 upload:\n {2}stuck: .* answered 403.*\n$/
      )
      assert.deepStrictEqual([...server.stored.keys()], ["complete"])
      assert.deepStrictEqual([...server.unfinished.keys()], ["stuck"])
      assert.deepStrictEqual(journals(), ["c"])
    }))

  it.scopedLive("asks for an address whose query was not recorded", () =>
    Effect.gen(function*() {
      const { root, sluice } = yield* place
      fs.rmSync(`${root}/state`, { recursive: true })
      const server = yield* FileServer.start({ parts: true })
      yield* leave(`${root}/state/sluice/c`, `${server.url}/{key}?…`, ["half"])
      server.unfinished.set("half", Buffer.from("12345"))
      const { exitCode, stderr } = yield* sluice("abort", "--all")
      assert.strictEqual(exitCode, 1)
      assert.include(stderr, "The query of its address was not recorded. Give the full address: ")
      assert.strictEqual(server.unfinished.size, 1)
      assert.strictEqual((yield* sluice("abort", `${server.url}/{key}?signature=1`)).exitCode, 0)
      assert.strictEqual(server.unfinished.size, 0)
    }))
})
