import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const sources = path.resolve(import.meta.dirname, "../../src")

/** The only module that may: its exports also work in uninterruptible regions. */
const own = /(?:^|\/)within\.ts$/

describe("a time bound", () => {
  it("is set by `within`: Effect's own would cut nothing in a finalizer", () => {
    const files = fs.readdirSync(sources, { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".ts") && !own.test(file)
    )
    assert.isAbove(files.length, 100)
    assert.deepStrictEqual(
      files.flatMap((file) =>
        fs.readFileSync(path.join(sources, file), "utf8").split("\n")
          .filter((line) => !/^\s*(?:\*|\/\/)/.test(line) && /\b(?:Effect|Stream)\.timeout\w*\(/.test(line))
          .map((line) => `${file}: ${line.trim()}`)
      ),
      []
    )
  })
})
