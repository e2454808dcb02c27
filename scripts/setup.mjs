// Makes a checkout ready with nothing but Node and npm present: installs when something changed, and with `--build`
// compiles the packages. Quick and silent when all is done already.
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const stampFile = path.join(root, "node_modules", ".sluice-setup")
const { packageManager } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))

const fail = (message) => {
  console.error(message)
  process.exit(1)
}

const checkNode = () => {
  const [major, minor] = process.versions.node.split(".").map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    fail(`sluice needs Node 20.19 or newer; this is Node ${process.versions.node} (${process.execPath}).`)
  }
}

const workspacePackages = () =>
  fs.readdirSync(path.join(root, "packages"))
    .map((name) => path.join("packages", name, "package.json"))
    .concat(path.join("benchmarks", "package.json"))
    .filter((file) => fs.existsSync(path.join(root, file)))

const stamp = () => {
  const hash = createHash("sha256")
  for (const file of ["pnpm-lock.yaml", "pnpm-workspace.yaml", "package.json", ...workspacePackages()]) {
    hash.update(file).update("\0").update(fs.readFileSync(path.join(root, file))).update("\0")
  }
  return hash.digest("hex")
}

const isInstalled = (wanted) => {
  try {
    return fs.readFileSync(stampFile, "utf8") === wanted
  } catch {
    return false
  }
}

/** Runs a command, and shows what it wrote only when it fails. */
const run = (command, args, options = {}) => {
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    ...options
  })
  if (result.error !== undefined) {
    fail(`Could not run ${command}: ${result.error.message}`)
  }
  if (result.status !== 0) {
    fail(`${result.stdout}${result.stderr}\n${command} ${args.join(" ")} failed.`)
  }
}

const timed = (label, work) => {
  const start = performance.now()
  process.stdout.write(`${label} ... `)
  work()
  console.log(`done in ${((performance.now() - start) / 1000).toFixed(1)} s`)
}

const install = () => {
  const wanted = stamp()
  if (isInstalled(wanted)) {
    return
  }
  timed("Installing dependencies (under a minute, only when they changed)", () => {
    // `-y`, because npm may be configured to answer no to npx's question.
    const args = ["-y", packageManager, "install", "--frozen-lockfile", "--config.confirm-modules-purge=false"]
    run("npx", args, { shell: process.platform === "win32" })
    fs.writeFileSync(stampFile, wanted)
  })
}

const build = () => {
  const isFirst = !fs.existsSync(path.join(root, "packages", "cli", "dist"))
  const compile = () => {
    run(process.execPath, ["node_modules/typescript/bin/tsc", "-b", "packages/core/tsconfig.src.json"])
    // In a process of its own, since what it imports may just have been installed.
    run(process.execPath, ["scripts/bundle.mjs"])
  }
  return isFirst ? timed("Building", compile) : compile()
}

/** Installs when needed, and builds when asked; ends the process with a message when it cannot. */
export const setup = (options) => {
  checkNode()
  install()
  if (options.build) {
    build()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  setup({ build: process.argv.includes("--build") })
}
