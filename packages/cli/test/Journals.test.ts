import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Journals from "../src/Journals.js"
import * as TemporaryDirectory from "./TemporaryDirectory.js"

describe("Journals", () => {
  it("are where the platform keeps state", () => {
    const user = os.homedir()
    assert.deepStrictEqual(
      [
        Journals.home({ XDG_STATE_HOME: "/state" }, "linux"),
        Journals.home({ XDG_STATE_HOME: "/state" }, "darwin"),
        Journals.home({}, "linux"),
        Journals.home({ XDG_STATE_HOME: "not/absolute" }, "freebsd"),
        Journals.home({ XDG_STATE_HOME: "" }, "linux"),
        Journals.home({}, "darwin"),
        Journals.home({ LOCALAPPDATA: "/local" }, "win32"),
        Journals.home({}, "win32")
      ],
      [
        "/state/sluice",
        "/state/sluice",
        path.join(user, ".local/state/sluice"),
        path.join(user, ".local/state/sluice"),
        path.join(user, ".local/state/sluice"),
        path.join(user, "Library/Application Support/sluice"),
        "/local/sluice",
        path.join(user, "AppData/Local/sluice")
      ]
    )
  })

  it("have a directory of their own for each source and destination", () => {
    const subjects = [
      { sources: ["/a"], destination: "/b" },
      { sources: ["/a"], destination: "/c" },
      { sources: ["/a", "/b"], destination: "/c" },
      { sources: ["/a\",\"/b"], destination: "/c" }
    ]
    const directories = subjects.map(Journals.directoryOf)
    assert.strictEqual(new Set(directories).size, subjects.length)
    assert.deepStrictEqual(subjects.map(Journals.directoryOf), directories)
    for (const directory of directories) assert.match(path.basename(directory), /^[0-9a-f]{32}$/)
  })

  it.scopedLive("tells who is using one", () =>
    Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.make
      const host = os.hostname()
      const userOf = (lock: string) =>
        Effect.suspend(() => {
          fs.writeFileSync(`${directory}/lock`, lock)
          return Journals.userOf(directory)
        })
      assert.isUndefined(yield* Journals.userOf(directory))
      assert.strictEqual(yield* userOf(JSON.stringify({ pid: process.pid, host })), process.pid)
      assert.isUndefined(yield* userOf(JSON.stringify({ pid: process.pid, host: "elsewhere" })))
      assert.isUndefined(yield* userOf(JSON.stringify({ pid: 2 ** 30, host })))
      assert.isUndefined(yield* userOf("torn"))
    }))
})
