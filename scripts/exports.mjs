// Whether a packed core gives what it should: every public module can be imported, and no closed one.
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

const isClosed = (name) => /(^|\/)internal\//.test(name)

/** The modules of a package as it was packed, by their paths below `dist`. */
const modulesOf = (installed) =>
  fs.readdirSync(path.join(installed, "dist"), { recursive: true })
    .map((file) => file.split(path.sep).join("/"))
    .filter((file) => file.endsWith(".js"))
    .map((file) => file.slice(0, -".js".length))

/** What is run where the package is installed: it says what came out otherwise than it should. */
const program = `
  const wrong = []
  const tryAll = async (names, check) => {
    for (const name of names) {
      const failure = await import(name).then(() => undefined, (error) => error)
      const problem = check(failure)
      if (problem !== undefined) wrong.push(name + " " + problem)
    }
  }
  const { open, closed } = JSON.parse(process.argv[1])
  await tryAll(open, (failure) => failure && "cannot be imported: " + failure.message)
  await tryAll(closed, (failure) =>
    failure === undefined ? "can be imported, and is closed"
    : failure.code === "ERR_PACKAGE_PATH_NOT_EXPORTED" ? undefined : "fails otherwise than closed: " + failure.message)
  if (wrong.length > 0) console.error(wrong.join("\\n"))
  process.exit(wrong.length > 0 ? 1 : 0)
`

/**
 * Unpacks a tarball where nothing but its dependencies is installed, and tries all its paths. `directory` is the
 * package's own, which has these dependencies.
 */
export const check = (tarball, directory, out) => {
  const { name } = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8"))
  const modules = path.join(out, "installed", "node_modules")
  const installed = path.join(modules, name)
  fs.mkdirSync(installed, { recursive: true })
  const unpacked = spawnSync("tar", ["-xzf", tarball, "-C", installed, "--strip-components=1"], { stdio: "inherit" })
  if (unpacked.status !== 0) return false
  const { dependencies, peerDependencies } = JSON.parse(fs.readFileSync(path.join(installed, "package.json"), "utf8"))
  for (const dependency of Object.keys({ ...dependencies, ...peerDependencies })) {
    const link = path.join(modules, dependency)
    fs.mkdirSync(path.dirname(link), { recursive: true })
    fs.symlinkSync(fs.realpathSync(path.join(directory, "node_modules", dependency)), link, "junction")
  }
  const all = modulesOf(installed)
  const paths = {
    open: [name, ...all.filter((file) => !isClosed(file) && file !== "index").map((file) => `${name}/${file}`)],
    closed: all.filter(isClosed).map((file) => `${name}/${file}`)
  }
  const { status } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", program, JSON.stringify(paths)],
    { cwd: path.join(out, "installed"), stdio: "inherit" }
  )
  if (status === 0) {
    console.log(`${name}: ${paths.open.length} public paths can be imported, ${paths.closed.length} closed ones cannot`)
  }
  return status === 0
}
