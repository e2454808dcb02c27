/**
 * The modules of a package, and what each of them imports.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import ts from "typescript"

export interface Imports {
  /** Modules of the same package, by their path below `src` without extension. */
  readonly local: ReadonlyArray<string>
  /** Packages and `node:*`. */
  readonly foreign: ReadonlyArray<string>
}

/** What a file imports or re-exports, types too. */
const importsOf = (file: string): Array<string> => {
  const names = new Set<string>()
  const visit = (node: ts.Node): void => {
    const specifier = ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
      ? node.moduleSpecifier
      : ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
      ? node.argument.literal
      : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
      ? node.arguments[0]
      : undefined
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) names.add(specifier.text)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, fs.readFileSync(file, "utf8"), ts.ScriptTarget.ES2022))
  return [...names]
}

/** The modules below `src`, by their path without extension. */
export const read = (src: string): ReadonlyMap<string, Imports> => {
  const files = fs.readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))
  return new Map(files.map((file) => {
    const names = importsOf(path.join(src, file))
    const nameOf = (relative: string) =>
      path.relative(src, path.resolve(src, path.dirname(file), relative)).replaceAll(path.sep, "/").replace(/\.js$/, "")
    return [file.replaceAll(path.sep, "/").replace(/\.ts$/, ""), {
      local: names.filter((name) => name.startsWith(".")).map(nameOf),
      foreign: names.filter((name) => !name.startsWith("."))
    }]
  }))
}

/** Import cycles: at least one if there are any, and none twice. */
export const cyclesOf = (modules: ReadonlyMap<string, Imports>): Array<string> => {
  const done = new Set<string>()
  const find = (module: string, trail: ReadonlyArray<string>): Array<string> | undefined => {
    const start = trail.indexOf(module)
    if (start >= 0) return [...trail.slice(start), module]
    if (done.has(module)) return undefined
    done.add(module)
    for (const imported of modules.get(module)?.local ?? []) {
      const cycle = find(imported, [...trail, module])
      if (cycle !== undefined) return cycle
    }
    return undefined
  }
  return [...modules.keys()].flatMap((module) => find(module, [])?.join(" -> ") ?? [])
}
