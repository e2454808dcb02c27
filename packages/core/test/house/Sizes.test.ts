import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const packages = path.resolve(import.meta.dirname, "../../..")

const linesOf = (file: string): number => fs.readFileSync(file, "utf8").split("\n").length - 1

/** All modules below a folder, with their lines. */
const modules = (name: string, folder: string): ReadonlyArray<readonly [file: string, lines: number]> => {
  const root = path.join(packages, name, folder)
  return fs.readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => [file, linesOf(path.join(root, file))])
}

describe("the sizes of the house", () => {
  for (const name of ["core", "cli"]) {
    it(`of ${name}: no module of src has over 400 lines, and no test file over 700`, () => {
      const sources = modules(name, "src")
      assert.isAbove(sources.length, 50)
      assert.deepStrictEqual(sources.filter(([, lines]) => lines > 400), [])
      assert.deepStrictEqual(modules(name, "test").filter(([, lines]) => lines > 700), [])
    })

    it(`of ${name}: no folder of src has over 42 modules`, () => {
      const counts = new Map<string, number>()
      for (const [file] of modules(name, "src")) {
        const folder = path.dirname(file)
        counts.set(folder, (counts.get(folder) ?? 0) + 1)
      }
      assert.deepStrictEqual(Array.from(counts).filter(([, count]) => count > 42), [])
    })
  }
})
