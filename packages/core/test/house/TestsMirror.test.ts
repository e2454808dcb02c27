import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const packages = path.resolve(import.meta.dirname, "../../..")

/** What crosses modules, needs more than a test, or helps tests: these folders have a scheme of their own. */
const apart = /^(adaptive|contract|faults|house|kill|promises|servers|support)\//

const filesOf = (directory: string): ReadonlyArray<string> =>
  fs.readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll(path.sep, "/"))
    .filter((file) => file.endsWith(".ts"))

describe("the tests of a package", () => {
  for (const name of ["core", "cli"]) {
    const tests = filesOf(path.join(packages, name, "test"))
    const sources = new Set(filesOf(path.join(packages, name, "src")))

    it(`stand where the sources of ${name} do: src/a/b.ts is tested by test/a/b.test.ts, or b.side.test.ts`, () => {
      assert.isAbove(tests.length, 50)
      const strays = tests.filter((file) =>
        file.endsWith(".test.ts") && !apart.test(file) && !sources.has(file.replace(/(\.\w+)?\.test\.ts$/, ".ts"))
      )
      assert.deepStrictEqual(strays, [])
    })

    it(`share in ${name} what is not a test by test/support only, and no two files there have one name`, () => {
      const helpers = tests.filter((file) => !file.endsWith(".test.ts")).map((file) => path.posix.basename(file))
      const twice = helpers.filter((file, index) =>
        helpers.findIndex((other) => other.toLowerCase() === file.toLowerCase()) !== index
      )
      assert.deepStrictEqual(twice, [])
    })
  }
})
