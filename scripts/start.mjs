// `npm start`: uploads a sample directory, checks every byte, says what to try next.
// `npm start -- <source>... <destination> [flags]`: uploads your own.
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { writeSample } from "./sample.mjs"
import { setup } from "./setup.mjs"
import { compareTrees } from "./verify.mjs"

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const cli = path.join(root, "packages", "cli", "dist", "bin.js")

/** Runs the command line in this terminal and gives its exit code. */
const sluice = (args, cwd, env = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args], { cwd, stdio: "inherit", env: { ...process.env, ...env } })
    // The terminal sends Ctrl-C to the whole group: the child has it already, and here it must only wait.
    process.on("SIGINT", () => {})
    process.on("SIGTERM", (signal) => child.kill(signal))
    // npm passes SIGTERM to its shell alone, which ends and would leave the upload running.
    const parent = process.ppid
    const watch = setInterval(() => {
      if (process.ppid !== parent) {
        clearInterval(watch)
        child.kill("SIGTERM")
      }
    }, 250)
    child.on("error", reject)
    child.on("exit", (code, signal) => {
      clearInterval(watch)
      resolve(code ?? 128 + os.constants.signals[signal])
    })
  })

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`

const demo = async () => {
  const source = path.join(".sample", "files")
  const destination = path.join(".sample", "uploaded")
  const sample = await writeSample(path.join(root, source))
  console.log(`${sample.isNew ? "Made" : "Using"} ${source}: ${sample.files} files, ${megabytes(sample.bytes)}`)
  await fs.promises.rm(path.join(root, destination), { recursive: true, force: true })

  console.log(`$ sluice upload ${source} ${destination}\n`)
  // The sample is nobody's upload: its journal goes with it.
  const code = await sluice(["upload", source, destination], root, {
    XDG_STATE_HOME: path.join(root, ".sample", "state")
  })
  if (code !== 0) {
    console.error(`\nThe upload ended with exit code ${code}.`)
    return code
  }

  const { bytes, differences, files } = await compareTrees(path.join(root, source), path.join(root, destination))
  if (differences.length > 0) {
    console.error(`\n${differences.length} differences between ${source} and ${destination}:`)
    for (const difference of differences.slice(0, 20)) {
      console.error(`  ${difference}`)
    }
    return 1
  }
  console.log(`\nVerified: ${files} files, ${megabytes(bytes)}, every byte the same.`)
  console.log(`
Try next:
  npm start -- <your directory> <destination>        upload your own files
  npm start -- .sample/files 'sim:?latency=20ms'     the same files to a simulated network
  node packages/cli/dist/bin.js upload --help        every flag
  node packages/cli/dist/bin.js simulate             the strategies side by side
  npm test                                           the tests`)
  return 0
}

setup({ build: true })
const args = process.argv.slice(2)
// npm runs scripts in the project; the paths are the caller's.
const caller = process.env.INIT_CWD ?? process.cwd()
process.exitCode = args.length === 0 ? await demo() : await sluice(["upload", ...args], caller)
