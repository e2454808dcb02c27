import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Floors from "./Floors.js"
import * as Imports from "./Imports.js"

const packages = path.resolve(import.meta.dirname, "../../..")
const agents = fs.readFileSync(path.join(packages, "../AGENTS.md"), "utf8")

const arrow = ({ from, to }: { readonly from: string; readonly to: string }) => `${from} -> ${to}`

/** What holds for every package that has floors. */
const keepsToItsFloors = (name: string, floors: ReadonlyArray<Floors.Floor>, roof: ReadonlyArray<string>) => {
  const modules = Imports.read(path.join(packages, name, "src"))
  const edges = [...modules].flatMap(([from, { local }]) => local.map((to) => ({ from, to })))
  const floorOf = (module: string) => roof.includes(module) ? floors.length : Floors.floorOf(floors, module)

  it("has a floor for each module, and each module in a room that the table knows", () => {
    assert.isAbove(modules.size, 0)
    const homeless = [...modules.keys()].filter((module) => floorOf(module) === undefined)
    assert.deepStrictEqual(homeless.map((module) => `give ${module} a floor`), [])
  })

  it("has no floor for modules that do not exist", () => {
    const named = floors.flatMap(({ modules, rooms }) => [...modules, ...rooms.map((room) => `${room}/*`)])
    const isThere = (name: string) =>
      name.endsWith("/*")
        ? [...modules.keys()].some((module) => `${Floors.folderOf(module)}/*` === name)
        : modules.has(name)
    assert.deepStrictEqual(named.filter((name) => !isThere(name)), [])
  })

  it("imports only modules that exist", () => {
    assert.deepStrictEqual(edges.filter(({ to }) => !modules.has(to)).map(arrow), [])
  })

  it("imports down or sideways", () => {
    const upward = edges.filter(({ from, to }) => (floorOf(to) ?? 0) > (floorOf(from) ?? 0))
    assert.deepStrictEqual(upward.map(arrow), [])
  })

  it("has no cycles", () => {
    assert.deepStrictEqual(Imports.cyclesOf(modules), [])
  })

  it("has the table that AGENTS.md prints", () => {
    assert.include(agents, Floors.table(floors))
  })

  return { modules, edges }
}

describe("the house of core", () => {
  const { edges, modules } = keepsToItsFloors("core", Floors.core, ["index"])
  const floorOf = (module: string) => Floors.floorOf(Floors.core, module) ?? 0

  const isDriver = (module: string) => module.startsWith("destinations/")
  const isTestKit = (module: string) => module.startsWith("testing/")
  const isClosed = (module: string) => module.split("/").includes("internal")

  /** What drivers and the test kit see of the house: what somebody outside would see, and what was made for them. */
  const isForDrivers = (module: string): boolean =>
    isClosed(module)
      ? ["internal/calls", "internal/transport", "internal/values"].includes(Floors.folderOf(module)) ||
        ["bandwidth", "engineLimits", "heap", "inFlight"].some((limit) => module === `internal/limits/${limit}`)
      : floorOf(module) <= 1

  it("lets drivers see values, ports, policies and the rooms made for them only", () => {
    const wrong = edges.filter(({ from, to }) => isDriver(from) && !isDriver(to) && !isForDrivers(to))
    assert.deepStrictEqual(wrong.map(arrow), [])
  })

  it("lets the test kit see no more than drivers see", () => {
    const wrong = edges.filter(({ from, to }) => isTestKit(from) && !isTestKit(to) && !isForDrivers(to))
    assert.deepStrictEqual(wrong.map(arrow), [])
  })

  it("imports no driver or test kit in the engine, not even indirectly", () => {
    const wrong = edges.filter(({ from, to }) =>
      (isDriver(to) && !isDriver(from)) || (isTestKit(to) && !isTestKit(from))
    )
    assert.deepStrictEqual(wrong.map(arrow), [])
  })

  it("has a room for each driver that no other driver enters", () => {
    const owners = new Map<string, Set<string>>()
    for (const { from, to } of edges) {
      const room = Floors.folderOf(to)
      if (!room.startsWith("destinations/internal/") || Floors.folderOf(from) === room) continue
      owners.set(room, new Set([...(owners.get(room) ?? []), from]))
    }
    const shared = [...owners].filter(([, users]) => users.size !== 1)
    assert.deepStrictEqual(shared.map(([room, users]) => `${room} <- ${[...users].join(" ")}`), [])
  })

  it("re-exports nothing closed, and nothing that needs more than core does", () => {
    const wrong = (modules.get("index")?.local ?? []).filter((module) => module.includes("/"))
    assert.deepStrictEqual(wrong, [])
  })

  it("imports node:* only in files with Node in their name", () => {
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

describe("the house of the command line", () => {
  const { edges, modules } = keepsToItsFloors("cli", Floors.cli, [])

  it("has commands that never import each other", () => {
    const wrong = edges.filter(({ from, to }) => from.startsWith("commands/") && to.startsWith("commands/"))
    assert.deepStrictEqual(wrong.map(arrow), [])
  })

  it("has one naming scheme: modules are PascalCase, commands are named as users type them", () => {
    const wrong = [...modules.keys()].filter((module) => {
      const name = path.posix.basename(module)
      return !["bin", "main"].includes(module) && /^[A-Z]/.test(name) === module.startsWith("commands/")
    })
    assert.deepStrictEqual(wrong, [])
  })
})
