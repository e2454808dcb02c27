// The copy of the tree, below `build/mutate`, in which mutants run.
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { digest } from "./draw.mjs"

const posix = (file) => file.replaceAll(path.sep, "/")

/** The TypeScript files below a folder, by their paths from the root. */
export const filesBelow = (root, folder) =>
  fs.readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
    .map((file) => posix(path.join(folder, file)))
    .filter((file) => file.endsWith(".ts"))
    .sort()

export const digestOf = (root, file) => digest(fs.readFileSync(path.join(root, file), "utf8"))

const tracked = (root) => {
  const { status, stdout } = spawnSync("git", ["ls-files", "-z", "-co", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 2 ** 26
  })
  if (status !== 0) throw new Error("git does not list the files of this tree.")
  return stdout.split("\0").filter((file) => file !== "" && fs.existsSync(path.join(root, file)))
}

const writeIfChanged = (file, content) => {
  if (fs.existsSync(file) && fs.readFileSync(file).equals(content)) return
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, content)
}

/** Creates or updates the copy, with the given files in place of their originals. Dependencies are linked. */
export const copy = (root, tree, changed) => {
  const content = new Map(changed.map(({ content, name }) => [name, Buffer.from(content)]))
  const files = tracked(root)
  const wanted = new Set(files)
  for (const folder of ["packages", "scripts"]) {
    if (!fs.existsSync(path.join(tree, folder))) continue
    for (const file of filesBelow(tree, folder)) {
      if (!/\/(node_modules|dist)\//.test(file) && !wanted.has(file)) fs.rmSync(path.join(tree, file))
    }
  }
  for (const file of files) {
    writeIfChanged(path.join(tree, file), content.get(file) ?? fs.readFileSync(path.join(root, file)))
  }
  fs.rmSync(path.join(tree, "node_modules"), { force: true })
  fs.symlinkSync(path.join(root, "node_modules"), path.join(tree, "node_modules"), "junction")
  for (const name of fs.readdirSync(path.join(tree, "packages"))) {
    const modules = path.join("packages", name, "node_modules")
    fs.rmSync(path.join(tree, modules), { recursive: true, force: true })
    fs.cpSync(path.join(root, modules), path.join(tree, modules), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (source) => !/node_modules[/\\]\.(vite|vitest)/.test(source)
    })
  }
  const bundled = spawnSync(process.execPath, ["scripts/bundle.mjs"], { cwd: tree, encoding: "utf8" })
  if (bundled.status !== 0) throw new Error(`The command line cannot be bundled:\n${bundled.stderr}`)
}

const specifier = /(?:from|import)\s*\(?\s*"([^"]+)"/g

/** The number of imports from each test to each file that it reaches. */
export const distances = (root, tests) => {
  const imports = new Map()
  const importsOf = (file) => {
    const known = imports.get(file)
    if (known !== undefined) return known
    const found = []
    for (const [, name] of fs.readFileSync(path.join(root, file), "utf8").matchAll(specifier)) {
      const own = /^@sluice\/core(?:\/(.+))?$/.exec(name)
      const target = own !== null
        ? `packages/core/src/${own[1] ?? "index"}.ts`
        : name.startsWith(".")
        ? posix(path.join(path.dirname(file), name)).replace(/\.js$/, ".ts")
        : undefined
      if (target?.endsWith(".ts") && fs.existsSync(path.join(root, target))) found.push(target)
    }
    imports.set(file, found)
    return found
  }
  return new Map(tests.map((test) => {
    const away = new Map([[test, 0]])
    for (const [file, distance] of away) {
      for (const target of importsOf(file)) if (!away.has(target)) away.set(target, distance + 1)
    }
    return [test, away]
  }))
}
