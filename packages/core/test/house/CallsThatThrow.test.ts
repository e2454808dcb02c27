import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import ts from "typescript"

const packages = path.resolve(import.meta.dirname, "../../..")

/** Functions that throw at once for a wrong argument or machine state, by the module or object that has them. */
const throwing: Readonly<Record<string, RegExp>> = {
  "node:fs": /^(?!existsSync$|constants$)/,
  "node:os": /^(homedir|hostname|userInfo)$/,
  "process": /^(chdir|cwd|kill|resourceUsage|setgid|setuid|setgroups)$/
}

const constructors = new Set(["URL"])

const functions = new Set(["decodeURIComponent", "decodeURI"])

/** Calls that give what their arguments throw as a value. */
const catching =
  /^((CallNode|Disk)\.)?call$|^(Effect|Either)\.try(Promise)?$|^(failing)$|^Option\.liftThrowable$|^Effect\.async$/

/** Where such a call stands by itself, with why it may. */
const excused: Readonly<Record<string, string>> = {
  "cli/src/Cli.ts": "reads the package's own file, at its own place",
  "cli/src/doctor/ServerCheck.ts": "addresses that were parsed before",
  "core/src/destinations/internal/s3/address.ts": "an address that was made here"
}

interface Found {
  readonly call: string
  readonly line: number
}

/** The throwing calls of a file that nothing catches. */
const callsThatThrow = (file: string): ReadonlyArray<Found> => {
  const source = ts.createSourceFile(file, fs.readFileSync(file, "utf8"), ts.ScriptTarget.ES2022, true)
  const names = new Map<string, string>([["process", "process"]])
  const own = new Map<string, string>()
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) continue
    const module = statement.moduleSpecifier.text
    const bindings = statement.importClause?.namedBindings
    if (throwing[module] === undefined || bindings === undefined) continue
    if (ts.isNamespaceImport(bindings)) names.set(bindings.name.text, module)
    else {for (const { name, propertyName } of bindings.elements) {
        own.set(name.text, `${module} ${(propertyName ?? name).text}`)
      }}
  }
  const throws = (node: ts.Node): string | undefined => {
    if (ts.isNewExpression(node)) {
      return ts.isIdentifier(node.expression) && constructors.has(node.expression.text)
        ? node.expression.text
        : undefined
    }
    if (!ts.isCallExpression(node)) return undefined
    const { expression } = node
    if (ts.isIdentifier(expression)) {
      const [module, name] = own.get(expression.text)?.split(" ") ?? []
      return functions.has(expression.text) || (module !== undefined && throwing[module]?.test(name ?? "") === true)
        ? expression.text
        : undefined
    }
    if (!ts.isPropertyAccessExpression(expression) || !ts.isIdentifier(expression.expression)) return undefined
    const module = names.get(expression.expression.text)
    return module !== undefined && throwing[module]?.test(expression.name.text) === true
      ? expression.getText(source)
      : undefined
  }
  /** Whether a name is a parameter here, and not the module. */
  const isShadowed = (node: ts.Node): boolean => {
    const name = ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)
      ? node.expression.expression.getText(source)
      : ""
    for (let at = node.parent; at !== undefined; at = at.parent) {
      if (ts.isArrowFunction(at) && at.parameters.some((parameter) => parameter.name.getText(source) === name)) {
        return true
      }
    }
    return false
  }
  const isCaught = (node: ts.Node): boolean => {
    for (let child = node, at = node.parent; at !== undefined; child = at, at = at.parent) {
      if (ts.isTryStatement(at) && at.tryBlock === child) return true
      if (ts.isCallExpression(at) && at.expression !== child && catching.test(at.expression.getText(source))) {
        return true
      }
      if (
        (ts.isArrowFunction(at) || ts.isFunctionExpression(at) || ts.isMethodDeclaration(at)) &&
        at.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword) === true
      ) return true
    }
    return false
  }
  const found: Array<Found> = []
  const visit = (node: ts.Node): void => {
    const call = throws(node)
    if (call !== undefined && !isCaught(node) && !isShadowed(node)) {
      found.push({ call, line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1 })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

const sources = ["core", "cli"].flatMap((name) =>
  fs.readdirSync(path.join(packages, name, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => path.posix.join(name, "src", file.replaceAll(path.sep, "/")))
)

describe("calls that throw at once", () => {
  it("are made where exceptions are caught, so that an impossible name ends no program", () => {
    assert.isAbove(sources.length, 100)
    const found = sources.flatMap((file) =>
      excused[file] === undefined
        ? callsThatThrow(path.join(packages, file)).map(({ call, line }) => `${file}:${line}: ${call}`)
        : []
    )
    assert.deepStrictEqual(found, [])
  })

  it("are excused only if there are any", () => {
    assert.deepStrictEqual(
      Object.keys(excused).filter((file) => callsThatThrow(path.join(packages, file)).length === 0),
      []
    )
  })
})
