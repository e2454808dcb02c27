import { assert, describe, it } from "@effect/vitest"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect, Option } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Journals from "../../src/journals/Journals.js"
import * as KeptUploads from "../../src/journals/KeptUploads.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

describe("Journals", () => {
  it("are in the platform's state directory", () => {
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
        Journals.home({}, "win32"),
        Journals.home({ HOME: "/home/ada" }, "linux")
      ].map(Option.getOrUndefined),
      [
        "/state/sluice",
        "/state/sluice",
        path.join(user, ".local/state/sluice"),
        path.join(user, ".local/state/sluice"),
        path.join(user, ".local/state/sluice"),
        path.join(user, "Library/Application Support/sluice"),
        "/local/sluice",
        path.join(user, "AppData/Local/sluice"),
        "/home/ada/.local/state/sluice"
      ]
    )
  })

  it("do not exist without a home directory, and never go into the current directory", () => {
    for (const HOME of ["", ".", "home"]) {
      for (const platform of ["linux", "darwin", "win32"] as const) {
        for (const rest of [{}, { XDG_STATE_HOME: "state" }, { LOCALAPPDATA: "local" }, { LOCALAPPDATA: "" }]) {
          assert.deepStrictEqual(Journals.home({ HOME, ...rest }, platform), Option.none())
        }
      }
    }
  })

  it("have a directory of their own for each source and destination", () => {
    const subjects = [
      { sources: ["/a"], destination: "/b" },
      { sources: ["/a"], destination: "/c" },
      { sources: ["/a", "/b"], destination: "/c" },
      { sources: ["/a\",\"/b"], destination: "/c" }
    ]
    const directories = subjects.flatMap((subject) => Option.toArray(Journals.directoryOf(subject)))
    assert.strictEqual(new Set(directories).size, subjects.length)
    assert.deepStrictEqual(subjects.flatMap((subject) => Option.toArray(Journals.directoryOf(subject))), directories)
    for (const directory of directories) assert.match(path.basename(directory), /^[0-9a-f]{32}$/)
  })

  it.scopedLive("reports the process that uses one", () =>
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
