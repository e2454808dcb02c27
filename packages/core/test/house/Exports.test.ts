import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"

const core = path.resolve(import.meta.dirname, "../..")
const src = path.join(core, "src")

type Paths = Readonly<Record<string, string | null | Readonly<Record<string, string>>>>

const { exports: here, publishConfig: { exports: published } } = JSON.parse(
  fs.readFileSync(path.join(core, "package.json"), "utf8")
) as { readonly exports: Paths; readonly publishConfig: { readonly exports: Paths } }

const modules = fs.readdirSync(src, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll(path.sep, "/"))
  .filter((file) => file.endsWith(".ts") && file !== "index.ts")
  .map((file) => file.slice(0, -".ts".length))

const isClosed = (module: string) => /(^|\/)internal\//.test(module)

// As programs do that use the package: Node's own resolution, by the map.
const { resolve } = createRequire(path.join(core, "test/house/anybody.js"))

describe("the paths of the package", () => {
  it("are the same here and published, except for the sources", () => {
    const withoutSources = Object.fromEntries(
      Object.entries(here).map(([name, to]) => {
        if (to === null || typeof to === "string") return [name, to]
        const { "@sluice/source": _, ...rest } = to
        return [name, rest]
      })
    )
    assert.deepStrictEqual(published, withoutSources)
  })

  // That they lead to what is there is tried with the packed package: `npm run packages`.
  it("close every room, wherever it is", () => {
    const closed = modules.filter(isClosed)
    assert.isAbove(closed.length, 50)
    const open = closed.filter((module) => {
      try {
        resolve(`@sluice/core/${module}`)
        return true
      } catch (error) {
        return (error as NodeJS.ErrnoException).code !== "ERR_PACKAGE_PATH_NOT_EXPORTED"
      }
    })
    assert.deepStrictEqual(open, [])
  })
})
