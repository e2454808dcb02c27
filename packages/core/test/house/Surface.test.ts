import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import ts from "typescript"

const core = path.resolve(import.meta.dirname, "../..")
const src = path.join(core, "src")

/** The public modules, by their path below `src`. */
const modules = fs.readdirSync(src, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll(path.sep, "/"))
  .filter((file) => file.endsWith(".ts") && !/(^|\/)internal\//.test(file) && file !== "index.ts")

const isExported = (node: ts.Node): boolean =>
  ts.canHaveModifiers(node) &&
  ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true

/** The exports of a module, and their members at any depth: what its documentation shows. */
const shown = (file: string): Array<readonly [name: string, node: ts.Node]> => {
  const text = fs.readFileSync(path.join(src, file), "utf8")
  const found: Array<readonly [string, ts.Node]> = []
  const members = (node: ts.Node): void => {
    if (ts.isBlock(node) || ts.isArrowFunction(node)) return
    if (ts.isPropertySignature(node) || ts.isMethodSignature(node) || ts.isPropertyDeclaration(node)) {
      found.push([node.name.getText(), node])
    }
    ts.forEachChild(node, members)
  }
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)
  ts.forEachChild(source, (node) => {
    if (!isExported(node)) return
    const names = ts.isVariableStatement(node)
      ? node.declarationList.declarations.map(({ name }) => name.getText())
      : [(node as ts.DeclarationStatement).name?.getText() ?? ""]
    for (const name of names) found.push([name, node])
    members(node)
  })
  return found
}

describe("what the package shows", () => {
  it("has nothing unsafe", () => {
    const unsafe = modules.flatMap((file) =>
      shown(file).filter(([name]) => name.startsWith("unsafe")).map(([name]) => `${file}: ${name}`)
    )
    assert.isAbove(modules.length, 35)
    assert.deepStrictEqual(unsafe, [])
  })

  it("has nothing that is for the package alone", () => {
    const internal = modules.flatMap((file) =>
      shown(file)
        .filter(([, node]) => ts.getJSDocTags(node).some(({ tagName }) => tagName.text === "internal"))
        .map(([name]) => `${file}: ${name}`)
    )
    assert.deepStrictEqual(internal, [])
  })
})
