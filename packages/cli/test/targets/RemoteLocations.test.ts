import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as RemoteLocations from "../../src/targets/RemoteLocations.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"

const entry = (key: string, id: number): RemoteLocations.Entry => ({ key, url: `https://host/files/${id}`, size: id })

const add = (file: string, ...entries: ReadonlyArray<RemoteLocations.Entry>) =>
  Effect.scoped(
    Effect.flatMap(
      RemoteLocations.append(file),
      (writer) => Effect.zipRight(Effect.forEach(entries, writer.add, { concurrency: 8 }), writer.check)
    )
  )

const read = (file: string) => Effect.map(RemoteLocations.read(file), (known) => [...known])

const mode = (file: string) => fs.statSync(file).mode & 0o777

describe("RemoteLocations", () => {
  it.scopedLive("appends to an existing list, readable only by its owner, and the last entry of a key applies", () =>
    Effect.gen(function*() {
      const file = `${yield* TemporaryDirectory.make}/list`
      yield* add(file, entry("a", 1), entry("ü\n\"", 2))
      assert.strictEqual(mode(file), 0o600)
      fs.chmodSync(file, 0o644)
      yield* add(file, entry("a", 3))
      assert.strictEqual(mode(file), 0o600)
      assert.deepStrictEqual(fs.readFileSync(file, "utf8").split("\n"), [
        "{\"_tag\":\"Locations\",\"version\":1}",
        "{\"key\":\"a\",\"url\":\"https://host/files/1\",\"size\":1}",
        "{\"key\":\"ü\\n\\\"\",\"url\":\"https://host/files/2\",\"size\":2}",
        "{\"key\":\"a\",\"url\":\"https://host/files/3\",\"size\":3}",
        ""
      ])
      assert.deepStrictEqual(yield* read(file), [["a", "https://host/files/3"], ["ü\n\"", "https://host/files/2"]])
    }))

  it.scopedLive("does not count a line that was cut off, wherever that was", () =>
    Effect.gen(function*() {
      const file = `${yield* TemporaryDirectory.make}/list`
      yield* add(file, entry("a", 1), entry("b", 2))
      const whole = fs.readFileSync(file)
      const ends = [...whole.entries()].flatMap(([at, byte]) => byte === 10 ? [at + 1] : [])
      for (let size = 0; size < whole.length; size++) {
        fs.writeFileSync(file, whole.subarray(0, size))
        const before = yield* Effect.either(read(file))
        const lines = ends.filter((end) => end <= size).length
        assert.deepStrictEqual(
          before._tag === "Right" ? before.right.map(([key]) => key) : [],
          ["a", "b"].slice(0, Math.max(0, lines - 1)),
          `${size}`
        )
        yield* add(file, entry("c", 3))
        const after = (yield* read(file)).map(([key]) => key)
        assert.deepStrictEqual(after, [...["a", "b"].slice(0, Math.max(0, lines - 1)), "c"], `${size}`)
      }
    }))

  it.scopedLive("does not touch or accept a file that is not a list", () =>
    Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.withFiles({
        text: "CANARY\n",
        other: "{\"_tag\":\"Locations\",\"version\":2}\n",
        spoilt: "{\"_tag\":\"Locations\",\"version\":1}\n{\"key\":\"a\",\"url\":\"CANARY\"}\n",
        empty: ""
      })
      fs.symlinkSync(`${directory}/empty`, `${directory}/link`)
      const failures = yield* Effect.forEach(["text", "other", "spoilt", "empty", "absent", "."], (name) =>
        Effect.map(Effect.flip(RemoteLocations.read(`${directory}/${name}`)), ({ message }) => message))
      assert.deepStrictEqual(
        failures.map((message) =>
          /\(line \d\)|does not exist|is a directory/.exec(message)?.[0]
        ),
        ["(line 1)", "(line 1)", "(line 2)", "(line 1)", "does not exist", "is a directory"]
      )
      assert.notInclude(failures.join("\n"), "CANARY")
      for (const name of ["text", "other", "link", ".", "absent/list"]) {
        const { message } = yield* Effect.flip(add(`${directory}/${name}`, entry("a", 1)))
        assert.match(message, /^--locations: /)
      }
      const { empty, other, text } = TemporaryDirectory.read(directory)
      assert.deepStrictEqual([empty, other, text], ["", "{\"_tag\":\"Locations\",\"version\":2}\n", "CANARY\n"])
    }))
})
