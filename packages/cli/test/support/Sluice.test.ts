/**
 * How these tests run the command: as somebody else would, and away from the sources.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import { builtinModules } from "node:module"
import * as path from "node:path"
import * as Sluice from "./Sluice.js"

const cli = path.resolve(import.meta.dirname, "../..")

describe("the command, as tests run it", { timeout: 60_000 }, () => {
  it.scopedLive("writes nothing where the tests were started", () =>
    Effect.gen(function*() {
      const { exitCode, stderr } = yield* Sluice.run(["upload", "-", "tus+undefined/db.sql"], { input: "dump" })
      assert.strictEqual(exitCode, 0, stderr)
      const isHere = fs.existsSync("tus+undefined")
      fs.rmSync("tus+undefined", { recursive: true, force: true })
      assert.isFalse(isHere)
    }))

  it("does not inherit the test runner's module paths", () => {
    assert.notProperty(Sluice.environment(), "NODE_PATH")
  })

  it("imports only its own modules, those of Node, and those of packages that it depends on", () => {
    const { dependencies } = JSON.parse(fs.readFileSync(path.join(cli, "package.json"), "utf8"))
    const dist = path.join(cli, "dist")
    const imported = fs.readdirSync(dist).filter((file) => file.endsWith(".js")).flatMap((file) =>
      Array.from(
        fs.readFileSync(path.join(dist, file), "utf8").matchAll(
          /^(?:import|export)\b[^"'\n]*"([^"]+)";?$|\b(?:import|require)\("([^"]+)"\)|^\} from "([^"]+)";?$/gm
        ),
        ([, statement, call, list]) => statement ?? call ?? list ?? ""
      )
    )
    const packages = new Set(
      imported
        .filter((name) => !/^(?:\.|node:)/.test(name) && !builtinModules.includes(name))
        .map((name) => name.split("/").slice(0, name.startsWith("@") ? 2 : 1).join("/"))
    )
    assert.deepStrictEqual([...packages].sort(), Object.keys(dependencies).sort())
  })
})
