import { assert, describe, it } from "@effect/vitest"
import { UploadList } from "@sluice/core"
import { Chunk, Effect, Either, Stream } from "effect"
import { execFileSync } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import * as Filter from "../../src/sources/Filter.js"
import * as ListedSources from "../../src/sources/ListedSources.js"
import * as Sources from "../../src/sources/Sources.js"
import * as Sluice from "../support/Sluice.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const options: Sources.Options = { filter: Filter.everything, followSymlinks: false }

/** Each item's key and path, and what is wrong with it. */
const listed = (root: string, file: string, source?: string, changes: Partial<Sources.Options> = {}) =>
  Effect.gen(function*() {
    return yield* told(root, yield* ListedSources.fromFile(`${root}/${file}`, source, { ...options, ...changes }))
  })

const told = (root: string, { items, locations }: Sources.Sources) =>
  Effect.gen(function*() {
    const all = yield* Stream.runCollect(Stream.StreamTypeId in items ? items : Stream.fromIterable(items))
    return Chunk.toReadonlyArray(all).map((item) => {
      const location = locations.of(UploadList.isFile(item) ? item : item.file)
      const where = location === undefined ? undefined : path.relative(root, location)
      if (UploadList.isFile(item)) return [item.key, where]
      return [item.file.key, where, item._tag === "Failed" ? item.error.message.replaceAll(root, "") : item.reason]
    })
  })

const failureOf = (root: string, file: string, source?: string) =>
  Effect.map(Effect.flip(ListedSources.fromFile(`${root}/${file}`, source, options)), ({ exitCode, message }) => ({
    exitCode,
    message: message.replaceAll(root, "")
  }))

const manifest = (...entries: ReadonlyArray<object>) =>
  [{ _tag: "Manifest", version: 1 }, ...entries].map((entry) => `${JSON.stringify(entry)}\n`).join("")

describe("ListedSources", () => {
  describe("plain lists", () => {
    it.scopedLive("name files relative to the source", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({
          "src/a.txt": "a",
          "src/x/b c.txt": "b",
          "src/ lead.txt": "",
          list: "a.txt\r\n./x//b c.txt\n\n lead.txt\nx/../a.txt"
        })
        assert.deepStrictEqual(yield* listed(root, "list", `${root}/src`), [
          ["a.txt", "src/a.txt"],
          ["x/b c.txt", "src/x/b c.txt"],
          [" lead.txt", "src/ lead.txt"],
          ["a.txt", "src/a.txt"]
        ])
      }))

    it.scopedLive("separated by NUL may name directories, as find does: their contents are listed separately", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({
          "src/a.txt": "a",
          "src/x/b.txt": "b",
          list: ".\0./x\0./x/b.txt\0./a.txt\0"
        })
        const directory = "It is a directory: its contents are listed separately."
        assert.deepStrictEqual(yield* listed(root, "list", `${root}/src`), [
          [".", undefined, directory],
          ["./x", undefined, directory],
          ["x/b.txt", "src/x/b.txt"],
          ["a.txt", "src/a.txt"]
        ])
      }))

    it.scopedLive("take an absolute path that is inside the source", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a" })
        TemporaryDirectory.write(root, { list: `${root}/src/a.txt` })
        assert.deepStrictEqual(yield* listed(root, "list", `${root}/src`), [["a.txt", "src/a.txt"]])
      }))

    it.scopedLive("fail separately for each name that cannot be uploaded", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({
          "src/x/b.txt": "b",
          "secret.txt": "s",
          list: "gone.txt\nx\n../secret.txt\n.\n../src2/x\nx/b.txt"
        })
        assert.deepStrictEqual(yield* listed(root, "list", `${root}/src`), [
          ["gone.txt", "src/gone.txt", "/src/gone.txt does not exist."],
          ["x", "src/x", "/src/x is a directory."],
          ["../secret.txt", "secret.txt", "../secret.txt is outside of /src."],
          [".", "src", ". is the source directory itself."],
          ["../src2/x", "src2/x", "../src2/x is outside of /src."],
          ["x/b.txt", "src/x/b.txt"]
        ])
      }))

    it.scopedLive("whose names begin with the source report how to write them", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", "src/x/b.txt": "b" })
        const hint = (name: string) =>
          ` does not exist: names in the list are relative to the source, but this one begins with it. Write ${name} instead.`
        // As `find src -print0` and `find src` write them.
        for (const separator of ["\0", "\n"]) {
          TemporaryDirectory.write(root, {
            list: ["src/a.txt", "./src/x/b.txt", "src/gone.txt", "x/b.txt"].join(separator)
          })
          const args = ["upload", "src", "to", "--files-from", "list", "--dry-run"]
          const { exitCode, stderr, stdout } = yield* Sluice.run(args, { cwd: root })
          assert.strictEqual(exitCode, 1)
          assert.strictEqual(stdout, "x/b.txt\t1\n")
          assert.include(stderr, `/src/src/a.txt${hint("\"a.txt\"")}`)
          assert.include(stderr, `/src/src/x/b.txt${hint("\"x/b.txt\"")}`)
          assert.include(stderr, "/src/src/gone.txt does not exist.")
        }
      }))

    it.scopedLive("fail for a name with a NUL in it, and for no other", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", "src/c.txt": "c" })
        TemporaryDirectory.write(root, { list: "a.txt\nb\0ad.txt\nc.txt\n" })
        assert.deepStrictEqual(yield* listed(root, "list", `${root}/src`), [
          ["a.txt", "src/a.txt"],
          [
            "b\0ad.txt",
            "src/b\0ad.txt",
            "\"/src/b\\u0000ad.txt\" has a NUL character in its name, which no file can have."
          ],
          ["c.txt", "src/c.txt"]
        ])
      }))

    it.scopedLive("may be separated by NUL, as find -print0 does, and then have names of several lines", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", "src/two\nlines.txt": "", "src/ü": "" })
        for (
          const list of ["./a.txt\0./two\nlines.txt\0./ü\0", "a.txt\0two\nlines.txt\0ü", "two\nlines.txt\0ü\0a.txt\0"]
        ) {
          TemporaryDirectory.write(root, { list })
          assert.sameDeepMembers([...(yield* listed(root, "list", `${root}/src`))], [
            ["a.txt", "src/a.txt"],
            ["two\nlines.txt", "src/two\nlines.txt"],
            ["ü", "src/ü"]
          ])
        }
      }))

    it.scopedLive("may be UTF-16, as PowerShell writes it, or begin with a byte order mark", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", "src/日本.txt": "b" })
        const text = "a.txt\r\n日本.txt\r\n"
        const little = Buffer.from(`\ufeff${text}`, "utf16le")
        const lists = [Buffer.from(`\ufeff${text}`), little, Buffer.from(little).swap16(), little.subarray(2)]
        for (const list of lists) {
          fs.writeFileSync(`${root}/list`, list)
          assert.deepStrictEqual(yield* listed(root, "list", `${root}/src`), [
            ["a.txt", "src/a.txt"],
            ["日本.txt", "src/日本.txt"]
          ])
        }
      }))

    it.scopedLive("are filtered like anything else", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({
          "a.jpg": "",
          "x/b.jpg": "",
          "c.txt": "",
          list: "a.jpg\nx/b.jpg\nc.txt"
        })
        const filter = Either.getOrThrow(Filter.make({ include: ["*.jpg"], exclude: ["x"] }))
        assert.deepStrictEqual(yield* listed(root, "list", root, { filter }), [["a.jpg", "a.jpg"]])
      }))

    it.scopedLive("treat links, special files and odd names as a walk does", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/a.txt": "a", "src/x/b.txt": "b", "out.txt": "o" })
        fs.symlinkSync("a.txt", `${root}/src/link`)
        fs.symlinkSync("nowhere", `${root}/src/dangling`)
        fs.symlinkSync("../out.txt", `${root}/src/out`)
        fs.symlinkSync("x", `${root}/src/y`)
        execFileSync("mkfifo", [`${root}/src/pipe`])
        const odd = Buffer.concat([Buffer.from(`${root}/src/`), Buffer.from([0x6f, 0xff])])
        fs.writeFileSync(odd, "odd")
        const server = net.createServer().listen(`${root}/src/socket`)
        yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
        yield* Effect.promise(() => once(server, "listening"))
        const names = ["a.txt", "dangling", "link", "out", "pipe", "socket", "x/b.txt"].join("\n")
        fs.writeFileSync(`${root}/list`, Buffer.concat([Buffer.from(`${names}\n`), Buffer.from([0x6f, 0xff])]))
        for (const followSymlinks of [false, true]) {
          const options = { followSymlinks, filter: Either.getOrThrow(Filter.make({ include: [], exclude: ["y"] })) }
          const walked = yield* told(root, yield* Sources.fromPaths([`${root}/src`], options))
          assert.sameDeepMembers(
            [...(yield* listed(root, "list", `${root}/src`, options))],
            [...walked]
          )
          assert.strictEqual(walked.length, 8)
        }
        TemporaryDirectory.write(root, { list: "y/b.txt\nlink\n" })
        assert.deepStrictEqual(yield* listed(root, "list", `${root}/src`), [
          ["y/b.txt", "src/y/b.txt", "It is behind the symbolic link y, and links are not followed."],
          ["link", "src/link", "It is a symbolic link, and links are not followed."]
        ])
        assert.deepStrictEqual(yield* listed(root, "list", `${root}/src`, { followSymlinks: true }), [
          ["y/b.txt", "src/y/b.txt"],
          ["link", "src/link"]
        ])
        // As find -print0 writes them: a link to a directory is a link.
        TemporaryDirectory.write(root, { list: "./y\0./x\0./x/b.txt\0" })
        assert.deepStrictEqual(yield* listed(root, "list", `${root}/src`), [
          ["y", "src/y", "It is a symbolic link, and links are not followed."],
          ["./x", undefined, "It is a directory: its contents are listed separately."],
          ["x/b.txt", "src/x/b.txt"]
        ])
        TemporaryDirectory.write(root, { list: manifest({ _tag: "Failed", path: `${root}/src/link`, key: "link" }) })
        assert.deepStrictEqual(yield* listed(root, "list"), [["link", "src/link"]])
      }))

    it.scopedLive("may be empty, and may not be missing", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ list: "" })
        assert.deepStrictEqual(yield* listed(root, "list"), [])
        assert.deepStrictEqual(yield* failureOf(root, "nope"), {
          exitCode: 3,
          message: "--files-from: \"/nope\" does not exist."
        })
      }))

    it.scopedLive("go with a directory", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ list: "a" })
        assert.deepStrictEqual(yield* failureOf(root, "list", `${root}/nope`), {
          exitCode: 3,
          message: "The source /nope does not exist."
        })
        assert.deepStrictEqual(yield* failureOf(root, "list", `${root}/list`), {
          exitCode: 2,
          message: "--files-from takes a source directory, but /list is a file."
        })
      }))

    it.scopedLive("may be long", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({
          "a.txt": "a",
          list: "a.txt\n".repeat(20_000)
        })
        assert.strictEqual((yield* listed(root, "list", root)).length, 20_000)
      }))
  })

  describe("manifests", () => {
    it.scopedLive("contain the paths and keys of their files", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "one/a.txt": "a", "two/b.txt": "b" })
        TemporaryDirectory.write(root, {
          failed: manifest(
            { _tag: "Failed", path: `${root}/one/a.txt`, key: "a.txt", error: { _tag: "Transient", message: "m" } },
            { _tag: "NotStarted", path: `${root}/two/b.txt`, key: "deep/b.txt" },
            { _tag: "Interrupted", path: `${root}/gone.txt`, key: "gone.txt" }
          )
        })
        assert.deepStrictEqual(yield* listed(root, "failed"), [
          ["a.txt", "one/a.txt"],
          ["deep/b.txt", "two/b.txt"],
          ["gone.txt", "gone.txt", "/gone.txt does not exist."]
        ])
      }))

    it.scopedLive("hold directories, which are walked again", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ "src/sub/a.txt": "a", "src/sub/x/b.txt": "b" })
        TemporaryDirectory.write(root, {
          failed: manifest(
            { _tag: "Failed", path: `${root}/src/sub`, key: "sub/" },
            { _tag: "Failed", path: `${root}/src`, key: "./" }
          )
        })
        assert.deepStrictEqual(yield* listed(root, "failed"), [
          ["sub/a.txt", "src/sub/a.txt"],
          ["sub/x/b.txt", "src/sub/x/b.txt"],
          ["sub/a.txt", "src/sub/a.txt"],
          ["sub/x/b.txt", "src/sub/x/b.txt"]
        ])
      }))

    it.scopedLive("go without a source, and have a version", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({
          failed: manifest(),
          newer: "{\"_tag\":\"Manifest\",\"version\":2}\n"
        })
        assert.deepStrictEqual(yield* failureOf(root, "failed", root), {
          exitCode: 2,
          message:
            "--files-from: \"/failed\" is a manifest, which contains the paths of its files: do not give a source with it."
        })
        assert.deepStrictEqual(yield* failureOf(root, "newer"), {
          exitCode: 2,
          message: "--files-from: \"/newer\" is a manifest of version 2, but this sluice reads version 1."
        })
      }))

    it.scopedLive("fail for an invalid entry", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.withFiles({ failed: `${manifest()}{"path":"/a"\n` })
        const [[, , message] = []] = yield* listed(root, "failed")
        assert.strictEqual(message, "Not an entry of a manifest: {\"path\":\"/a\"")
      }))
  })
})
