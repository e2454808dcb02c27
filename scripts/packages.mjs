// Packs core and cli as they would be published and checks the tarballs: publint, the types of every entry point, and
// that every public module of core can be imported from its tarball, and no closed one.
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { check } from "./exports.mjs"

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const { packageManager } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
const out = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-packages-"))

const run = (command, args, cwd, stdio = "inherit") => {
  const result = spawnSync(command, args, { cwd, encoding: "utf8", stdio, shell: process.platform === "win32" })
  if (result.status !== 0) {
    process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}${command} ${args[0]} failed in ${cwd}\n`)
    process.exitCode = 1
  }
}

// attw does not expand `"./*"`: name the modules.
const entryPoints = (directory) =>
  fs.readdirSync(path.join(directory, "src"), { recursive: true })
    .map((file) => file.split(path.sep).join("/"))
    .filter((file) => file.endsWith(".ts") && file !== "index.ts" && !/(^|\/)internal\//.test(file))
    .map((file) => `./${file.slice(0, -".ts".length)}`)

const bin = (name) => path.join(root, "node_modules", ".bin", name)

try {
  for (const name of ["core", "cli"]) {
    const directory = path.join(root, "packages", name)
    const tarball = path.join(out, `${name}.tgz`)
    run("npx", ["-y", packageManager, "pack", "--out", tarball], directory, "pipe")
    console.log(`${name}: ${(fs.statSync(tarball).size / 1024).toFixed(0)} KiB packed`)
    run(bin("publint"), ["run", tarball, "--strict"], root)
    const modules = name === "core" ? ["--include-entrypoints", ...entryPoints(directory)] : []
    run(bin("attw"), [
      tarball,
      "--profile",
      "esm-only",
      "--format",
      "table-flipped",
      "--no-summary",
      "--exclude-entrypoints",
      "./*",
      ...modules
    ], root)
    if (name === "core" && !check(tarball, directory, out)) process.exitCode = 1
  }
} finally {
  fs.rmSync(out, { recursive: true, force: true })
}
