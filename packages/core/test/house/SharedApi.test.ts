import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const packages = path.resolve(import.meta.dirname, "../../..")

// Spelled in pieces, so that this file does not find itself.
const layered = new RegExp(["it", "layer\\("].join("\\."))

describe("tests of files that share a process", () => {
  it("provide layers themselves: a layer of `it` would change `it` for all files that come after", () => {
    const found = fs.readdirSync(packages).flatMap((name) => {
      const root = path.join(packages, name, "test")
      if (!fs.existsSync(root)) return []
      return fs.readdirSync(root, { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".ts") && layered.test(fs.readFileSync(path.join(root, file), "utf8")))
        .map((file) => path.join(name, "test", file))
    })
    assert.deepStrictEqual(found, [])
  })
})
