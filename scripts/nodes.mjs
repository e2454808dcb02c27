// The quick tests on another version of Node, which comes from npm into build/node-VERSION.
//
//   node scripts/nodes.mjs 22 [options of vitest]
//
// A version that cannot be installed is said, here and in build/node-VERSION.json, and fails nothing.
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const [major = "", ...options] = process.argv.slice(2)
const folder = path.join(root, "build", `node-${major}`)
const bin = path.join(folder, "node_modules", "node", "bin")
const node = path.join(bin, process.platform === "win32" ? "node.exe" : "node")

/** What a program answers, or nothing. */
const answerOf = (program, args) => {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
  return status === 0 ? stdout.trim() : undefined
}

const versionOf = (program) => answerOf(program, ["-p", "process.versions.node"])

/** The line of npm's errors that says what is wrong: the first is a code, and the last where the log is. */
const causeIn = (stderr) =>
  stderr.split("\n").map((line) => line.replace(/^npm error (notarget )?/, "").trim()).find((line) =>
    line !== "" && !line.startsWith("code ")
  )

/** Installs this version, and says why it cannot be. */
const install = () => {
  fs.mkdirSync(folder, { recursive: true })
  const args = ["install", "--prefix", folder, "--no-audit", "--no-fund", "--loglevel=error", `node@${major}`]
  const { error, status, stderr } = spawnSync("npm", args, {
    encoding: "utf8",
    timeout: 120_000,
    stdio: ["ignore", "ignore", "pipe"]
  })
  if (error?.code === "ETIMEDOUT") return "npm install took more than 120 s"
  if (status !== 0) return `npm install failed: ${causeIn(stderr ?? "") ?? error?.message}`
  return versionOf(node) === undefined ? "npm has installed none that starts" : undefined
}

if (!/^\d+$/.test(major)) {
  console.error("Which version of Node? Such as: node scripts/nodes.mjs 22")
  process.exit(2)
}
const skipped = versionOf(node) === undefined ? install() : undefined
fs.mkdirSync(path.join(root, "build"), { recursive: true })
fs.writeFileSync(
  path.join(root, "build", `node-${major}.json`),
  JSON.stringify(skipped === undefined ? { name: `Node ${versionOf(node)}` } : { name: `Node ${major}`, skipped })
)
if (skipped !== undefined) {
  console.log(`Node ${major} is not tested: ${skipped}`)
} else {
  console.log(`Node ${versionOf(node)}`)
  // Whatever the tests start is this version, too.
  const { status } = spawnSync(node, ["node_modules/vitest/vitest.mjs", "run", ...options], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH ?? ""}` }
  })
  process.exitCode = status ?? 1
}
