import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as FilterText from "../../src/sources/FilterText.js"
import * as InProcess from "../support/InProcess.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const around = { sources: ["photos", "/srv/data"], cwd: "/home/me" }

const said = (...unmatched: ReadonlyArray<string>) =>
  FilterText.unmatched({
    excluded: [],
    notIncluded: 0,
    included: [],
    unmatched: unmatched.map((glob) => ({ flag: "--exclude", glob }))
  }, around)

describe("FilterText", () => {
  it("guesses what a pattern that matched nothing was meant to be", () => {
    assert.deepStrictEqual(said("*.tmp"), ["--exclude \"*.tmp\" matched nothing."])
    assert.deepStrictEqual(said("*.tmp", "*.bak"), ["--exclude \"*.tmp\" and --exclude \"*.bak\" matched nothing."])
    assert.deepStrictEqual(said("*(copy)*"), ["--exclude \"*(copy)*\" matched nothing."])
    const hints = {
      "*.tmp,*.bak":
        "a comma matches itself. Write --exclude \"*.tmp\" --exclude \"*.bak\", or --exclude \"{*.tmp,*.bak}\".",
      "/srv/data/raw": "patterns are relative to the source. Write --exclude \"/raw\".",
      "/srv/data/raw/*.jpg": "patterns are relative to the source. Write --exclude \"/raw/*.jpg\".",
      "photos/raw": "patterns are relative to the source. Write --exclude \"/raw\".",
      "./photos/raw/": "patterns are relative to the source. Write --exclude \"/raw\".",
      "/home/me/photos/a/b": "patterns are relative to the source. Write --exclude \"/a/b\".",
      "~/photos/a": "patterns are relative to the source, such as \"raw/**\".",
      "../photos/a": "patterns are relative to the source. Write --exclude \"/a\".",
      "C:\\photos": "patterns are relative to the source, such as \"raw/**\".",
      "raw\\old\\x": "/ separates names, and \\ makes the next character match itself.",
      "!keep": "! matches itself: use --include and --exclude.",
      "*.@(jpg|png)": "parentheses match themselves. Write {one,two}.",
      ".*\\.jpg$": "it is a glob, not a regular expression. Write, for example, \"*.jpg\"."
    }
    for (const [glob, hint] of Object.entries(hints)) {
      const [line] = said(glob === "../photos/a" ? "/home/me/../me/photos/a" : glob)
      assert.isTrue(line?.endsWith(` matched nothing: ${hint}`), `${glob}: ${line}`)
    }
  })
})

describe("a filter that leaves nothing", { timeout: 60_000 }, () => {
  const files = { "src/a (1).txt": "a", "src/b.txt": "b", "src/old/c.txt": "c" }

  it.scopedLive("says what it has left out, by pattern, and is an error with the flag for it", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(files)
      const args = ["upload", "src", "to", "--exclude", "*.txt", "--exclude", "old"]
      const { exitCode, stderr } = yield* InProcess.run(args, { cwd: root })
      assert.deepStrictEqual({ exitCode, stderr }, {
        exitCode: 0,
        stderr: "Nothing to upload: the filter leaves nothing.\nLeft out:\n" +
          "  2 files by --exclude \"*.txt\"\n  1 directory by --exclude \"old\"\n"
      })
      for (const more of [[], ["--quiet"], ["--dry-run"], ["--json"]]) {
        const failed = yield* InProcess.run([...args, "--error-on-no-transfer", ...more], { cwd: root })
        assert.strictEqual(failed.exitCode, 9, more.join())
        assert.include(failed.stderr, "  2 files by --exclude \"*.txt\"\n")
      }
      const verified = yield* InProcess.run(["verify", "src", "src", "--include", "*.jpg"], { cwd: root })
      assert.include(
        verified.stderr,
        "Nothing to compare: the filter leaves nothing.\nLeft out:\n  3 files that no"
      )
      const simulated = yield* InProcess.run(["simulate", "src", "--include", "*.jpg"], { cwd: root })
      assert.include(simulated.stderr, "  3 files that no --include matches\n--include \"*.jpg\" matched nothing.\n")
    }))

  it.scopedLive("names an exclusion of everything, which leaves out included files too", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(files)
      const { stderr } = yield* InProcess.run(["upload", "src", "to", "--exclude", "*", "--include", "b.txt"], {
        cwd: root
      })
      assert.include(
        stderr,
        "--exclude \"*\" leaves out everything, even what --include \"b.txt\" would take. Remove it:"
      )
    }))

  it.scopedLive("is not an error if something is uploaded; a pattern that matched nothing is named", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.withFiles(files)
      const { exitCode, stderr } = yield* InProcess.run(
        ["upload", "src", "to", "--exclude", "* (1).*", "--exclude", "x,y", "--error-on-no-transfer"],
        { cwd: root }
      )
      assert.strictEqual(exitCode, 0)
      assert.include(stderr, "--exclude \"x,y\" matched nothing: a comma matches itself.")
      assert.deepStrictEqual(Object.keys(TemporaryDirectory.read(`${root}/to`)), ["b.txt", "old/c.txt"])
      const empty = yield* TemporaryDirectory.withFiles({})
      assert.strictEqual(
        (yield* InProcess.run(["upload", empty, "to", "--error-on-no-transfer"], { cwd: root })).exitCode,
        9
      )
    }))
})
