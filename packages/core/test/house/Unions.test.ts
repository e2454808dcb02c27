import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import ts from "typescript"

const packages = path.resolve(import.meta.dirname, "../../..")

/** Unions of others, of which a later version may have more. */
const foreign: ReadonlySet<string> = new Set(["cli/src/args/Argv.ts", "cli/src/args/Help.ts"])

/** The properties that distinguish the members of our unions. */
const discriminant = /\.(_tag|reason|state|outcome)$|^algorithm$/

/** The switches over unions that have a `default`, which would take the next member for one of them. */
const swallowing = (file: string): ReadonlyArray<string> => {
  const name = path.relative(packages, file).replaceAll("\\", "/")
  if (foreign.has(name)) return []
  const source = ts.createSourceFile(file, fs.readFileSync(file, "utf8"), ts.ScriptTarget.ES2022, true)
  const found: Array<string> = []
  const look = (node: ts.Node): void => {
    if (
      ts.isSwitchStatement(node) && discriminant.test(node.expression.getText(source).replaceAll("?.", ".")) &&
      node.caseBlock.clauses.some((clause) =>
        ts.isDefaultClause(clause) && !clause.getText(source).includes("satisfies never")
      )
    ) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
      found.push(`${name}:${line + 1}: switch (${node.expression.getText(source)})`)
    }
    ts.forEachChild(node, look)
  }
  look(source)
  return found
}

describe("a switch over a union of ours", () => {
  it("has a case for each member and no default, so that the compiler asks about the next one", () => {
    const files = ["core", "cli", "examples"].flatMap((name) => {
      const src = path.join(packages, name, "src")
      return fs.readdirSync(src, { recursive: true, encoding: "utf8" }).map((file) => path.join(src, file))
    }).filter((file) => file.endsWith(".ts"))
    assert.isAbove(files.length, 200)
    assert.deepStrictEqual(files.flatMap(swallowing), [])
  })
})
