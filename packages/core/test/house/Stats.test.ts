import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import ts from "typescript"

const packages = path.resolve(import.meta.dirname, "../../..")

/** `fs.realpath` makes a plain stat of what a link leads to; `fs.realpath.native` makes none. */
const stats = /^(?:[fl]?stat|realpath)(?:Sync)?$/

/**
 * The places of a file that name a `stat` of `node:fs`, and do not call it with `bigint`, or a `realpath` that is not
 * native.
 *
 * Those of `node:fs/promises` have a buffer of their own each, and are not looked at.
 */
const plainStats = (file: string, text: string): ReadonlyArray<string> => {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true)
  const modules = new Set<string>()
  const functions = new Set<string>()
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) continue
    const bindings = statement.importClause?.namedBindings
    if (statement.moduleSpecifier.text !== "node:fs" || bindings === undefined) continue
    if (ts.isNamespaceImport(bindings)) modules.add(bindings.name.text)
    else {for (const { name, propertyName } of bindings.elements) {
        if (stats.test((propertyName ?? name).text)) functions.add(name.text)
      }}
  }
  const isStat = (node: ts.Node): boolean =>
    ts.isPropertyAccessExpression(node)
      ? ts.isIdentifier(node.expression) && modules.has(node.expression.text) && stats.test(node.name.text)
      : ts.isIdentifier(node) && functions.has(node.text) && !ts.isImportSpecifier(node.parent)
  const hasOwnBuffer = (node: ts.Node): boolean => {
    if (ts.isPropertyAccessExpression(node.parent) && node.parent.name.text === "native") return true
    // `Option.liftThrowable(fs.fstatSync)(descriptor, bigint)` and `const stat = follows ? fs.stat : fs.lstat`
    for (let at = node; at.parent !== undefined && !ts.isStatement(at); at = at.parent) {
      if (ts.isCallExpression(at) && at.arguments.some((argument) => /\bbigint\b/.test(argument.getText(source)))) {
        return true
      }
    }
    return false
  }
  const found: Array<string> = []
  const visit = (node: ts.Node): void => {
    if (isStat(node) && !hasOwnBuffer(node)) {
      found.push(
        `${file}:${source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1}: ${node.getText(source)}`
      )
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Aliases that are called with `bigint` where they are called. */
const saidElsewhere: ReadonlyArray<RegExp> = [/^core\/src\/internal\/disk\/fileSourceNode\.ts:\d+: fs\.l?stat$/]

const sources = ["core", "cli"].flatMap((name) =>
  fs.readdirSync(path.join(packages, name, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => path.posix.join(name, "src", file.replaceAll(path.sep, "/")))
)

describe("stats", () => {
  it("are asked for with bigint: after a plain one of a pipe, Node 20 does not resolve links of modules any more", () => {
    assert.isAbove(sources.length, 100)
    const found = sources.flatMap((file) => plainStats(file, fs.readFileSync(path.join(packages, file), "utf8")))
    assert.deepStrictEqual(found.filter((place) => !saidElsewhere.some((said) => said.test(place))), [])
  })

  it("are found in all forms", () => {
    const text = [
      "import * as fs from \"node:fs\"",
      "import { fstat as look } from \"node:fs\"",
      "fs.statSync(file)",
      "Option.liftThrowable(fs.fstatSync)(0)",
      "call((done) => fs.lstat(file, done))",
      "look(0, done)",
      "fs.promises.stat(file)",
      "fs.realpath(file, done)",
      "fs.realpath.native(file, done)",
      "Option.liftThrowable(fs.fstatSync)(0, bigint)",
      "look(0, { bigint: true }, done)"
    ].join("\n")
    assert.deepStrictEqual(plainStats("a.ts", text), [
      "a.ts:3: fs.statSync",
      "a.ts:4: fs.fstatSync",
      "a.ts:5: fs.lstat",
      "a.ts:6: look",
      "a.ts:8: fs.realpath"
    ])
  })
})
