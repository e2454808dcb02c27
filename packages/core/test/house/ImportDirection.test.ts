import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import ts from "typescript"

// The house: imports point down, or sideways on the same floor, and never around in a circle.
const floors: Record<string, number> = {
  // values
  ByteSize: 0,
  ByteSource: 0,
  Checksum: 0,
  ObjectKey: 0,
  PartPlan: 0,
  Progress: 0,
  Size: 0,
  UploadError: 0,
  UploadEvent: 0,
  UploadFile: 0,
  UploadList: 0,
  UploadReport: 0,
  UploadResult: 0,
  // policies and ports
  AdaptiveConcurrency: 1,
  AdaptiveRate: 1,
  Bandwidth: 1,
  Destination: 1,
  FilesNode: 1,
  InFlight: 1,
  Journal: 1,
  JournalNode: 1,
  TransportNode: 1,
  Limits: 1,
  MachineNode: 1,
  RateLimit: 1,
  RetryPolicy: 1,
  Strategy: 1,
  Transport: 1,
  UploadBody: 1,
  UploadMetrics: 1,
  // one file
  MultipartUpload: 2,
  Upload: 2,
  // many files
  UploadRun: 3,
  Uploader: 3
}
const driverFloor = 4

const src = path.resolve(import.meta.dirname, "../../src")

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

/** Modules by their name below `src`, without extension, with the modules and packages that each imports. */
const readModules = (): ReadonlyMap<string, { readonly local: Array<string>; readonly foreign: Array<string> }> => {
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

const modules = readModules()
const edges = [...modules].flatMap(([from, { local }]) => local.map((to) => ({ from, to })))

const isDriver = (module: string) => module.startsWith("destinations/")
const isTestKit = (module: string) => module.startsWith("testing/")
const isInternal = (module: string) => module.startsWith("internal/")
const isRoof = (module: string) => module === "index" || isTestKit(module)

/** The floor that a module stands on. One in `internal/` stands on the highest floor that it imports. */
const floorOf = (module: string, seen: ReadonlySet<string> = new Set()): number | undefined => {
  if (isDriver(module)) return driverFloor
  if (isRoof(module)) return driverFloor + 1
  if (!isInternal(module)) return floors[module]
  return (modules.get(module)?.local ?? [])
    .filter((imported) => !seen.has(imported))
    .reduce((highest, imported) => Math.max(highest, floorOf(imported, new Set([...seen, module])) ?? 0), 0)
}

/** The first circle of imports that is reached from `module`. */
const findCycle = (module: string, trail: ReadonlyArray<string>, done: Set<string>): Array<string> | undefined => {
  const start = trail.indexOf(module)
  if (start >= 0) return [...trail.slice(start), module]
  if (done.has(module)) return undefined
  for (const imported of modules.get(module)?.local ?? []) {
    const cycle = findCycle(imported, [...trail, module], done)
    if (cycle !== undefined) return cycle
  }
  done.add(module)
  return undefined
}

describe("the house", () => {
  it("gives each module a floor", () => {
    assert.isAbove(modules.size, 0)
    const homeless = [...modules.keys()].filter((module) => floorOf(module) === undefined)
    assert.deepStrictEqual(homeless.map((module) => `give ${module} a floor`), [])
  })

  it("imports only modules that exist", () => {
    assert.deepStrictEqual(edges.filter(({ to }) => !modules.has(to)).map(({ from, to }) => `${from} -> ${to}`), [])
  })

  it("imports down or sideways", () => {
    const upward = edges.filter(({ from, to }) => (floorOf(to) ?? 0) > (floorOf(from) ?? 0))
    assert.deepStrictEqual(upward.map(({ from, to }) => `${from} (${floorOf(from)}) -> ${to} (${floorOf(to)})`), [])
  })

  it("has no cycles", () => {
    const done = new Set<string>()
    const cycles = [...modules.keys()].map((module) => findCycle(module, [], done))
    assert.deepStrictEqual(cycles.flatMap((cycle) => cycle === undefined ? [] : [cycle.join(" -> ")]), [])
  })

  it("lets drivers see values, ports and policies only", () => {
    const wrong = edges.filter(({ from, to }) => isDriver(from) && (floorOf(to) ?? 0) > 1)
    assert.deepStrictEqual(wrong.map(({ from, to }) => `${from} -> ${to}`), [])
  })

  it("keeps drivers and the test kit out of the engine", () => {
    const wrong = edges.filter(({ from, to }) => (isDriver(to) || isTestKit(to)) && !isRoof(from))
    assert.deepStrictEqual(wrong.map(({ from, to }) => `${from} -> ${to}`), [])
  })

  it("re-exports nothing internal", () => {
    assert.deepStrictEqual((modules.get("index")?.local ?? []).filter(isInternal), [])
  })

  it("imports node:* only where the name says Node", () => {
    const wrong = [...modules].flatMap(([module, { foreign }]) =>
      foreign
        .filter((name) => name.startsWith("node:") && !path.basename(module).includes("Node"))
        .map((name) => `${module} -> ${name}`)
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("never imports itself by its package name", () => {
    const wrong = [...modules].filter(([, { foreign }]) => foreign.some((name) => name.startsWith("@sluice/")))
    assert.deepStrictEqual(wrong.map(([module]) => module), [])
  })
})
