import { assert, describe, it } from "@effect/vitest"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Journals from "../src/Journals.js"
import * as KeptUploads from "../src/KeptUploads.js"
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
      const used = KeptUploads.find(directory).pipe(Effect.map(({ journals }) => journals.map(({ usedBy }) => usedBy)))
      yield* Effect.scoped(
        Effect.zipRight(
          JournalNode.make({ directory, destination: "/b" }),
          Effect.map(used, (pids) => assert.deepStrictEqual(pids, [process.pid]))
        )
      )
      assert.deepStrictEqual(yield* used, [undefined])
      const lockOf = (changes: object) =>
        Effect.suspend(() => {
          const holder = { pid: process.pid, host: os.hostname(), at: 0, token: "t", ...changes }
          fs.writeFileSync(`${directory}/lock`, JSON.stringify(holder))
          return used
        })
      assert.deepStrictEqual(yield* lockOf({}), [process.pid])
      assert.deepStrictEqual(yield* lockOf({ host: "elsewhere" }), [undefined])
      assert.deepStrictEqual(yield* lockOf({ pid: 2 ** 30 }), [undefined])
      // Another process has that number now.
      if (process.platform === "linux") assert.deepStrictEqual(yield* lockOf({ startTime: "before" }), [undefined])
      fs.writeFileSync(`${directory}/lock`, "torn")
      assert.deepStrictEqual(yield* used, [undefined])
    }))
})
