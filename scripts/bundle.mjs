// Makes one program of the command line and of all it imports: to find and read a thousand modules would be most of
// what a short upload takes. What is loaded only when used stays in files of its own, and what is external here is
// installed with the package. Does nothing where nothing has changed.
import { build } from "esbuild"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const cli = path.join(root, "packages", "cli")
const dist = path.join(cli, "dist")
const program = path.join(dist, "bin.js")

const { dependencies } = JSON.parse(fs.readFileSync(path.join(cli, "package.json"), "utf8"))

const timeOf = (file) => fs.statSync(file).mtimeMs

const newest = (directory) =>
  fs.readdirSync(directory, { recursive: true }).reduce(
    (newest, name) => Math.max(newest, timeOf(path.join(directory, name))),
    timeOf(directory)
  )

const isCurrent = () => {
  if (!fs.existsSync(program)) return false
  const sources = [path.join(cli, "src"), path.join(root, "packages", "core", "src")]
  const others = [path.join(cli, "package.json"), path.join(root, "pnpm-lock.yaml"), fileURLToPath(import.meta.url)]
  return timeOf(program) >= Math.max(...sources.map(newest), ...others.map(timeOf))
}

/** The licenses of what is part of the program, which ask to come with it. */
const licenses = (inputs) => {
  const packages = new Map()
  for (const input of Object.keys(inputs)) {
    const [, folder, name] = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(input) ?? []
    if (name !== undefined) packages.set(name, path.join(root, folder))
  }
  return Array.from(packages).sort(([a], [b]) => a < b ? -1 : 1).map(([name, folder]) => {
    const file = fs.readdirSync(folder).find((file) => /^licen[cs]e/i.test(file))
    if (file === undefined) throw new Error(`${name} has no license that could come with the program.`)
    return `${name}\n\n${fs.readFileSync(path.join(folder, file), "utf8").trim()}\n`
  }).join(`\n${"-".repeat(80)}\n\n`)
}

/** Bundles `packages/cli/src/bin.ts` to `packages/cli/dist`, from sources. */
export const bundle = async () => {
  if (isCurrent()) return
  fs.rmSync(dist, { recursive: true, force: true })
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [path.join(cli, "src", "bin.ts")],
    outdir: dist,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node20.19",
    conditions: ["@sluice/source"],
    external: Object.keys(dependencies).flatMap((name) => [name, `${name}/*`]),
    metafile: true,
    logLevel: "warning"
  })
  fs.writeFileSync(path.join(dist, "LICENSES.txt"), licenses(metafile.inputs))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundle()
