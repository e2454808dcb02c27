// Type-checks and runs every @example of core, and writes its API pages to packages/core/build/docgen/docs.
// docgen adds an import of `assert` to each example that uses it; ours show that line to the reader, so docgen works
// on a copy without it.
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const core = path.join(root, "packages", "core")
const copy = path.join(core, "build", "docgen")
const assertImport = /^ *\* import (?:\* as )?assert from "(?:node:)?assert"\n/gm

fs.rmSync(copy, { recursive: true, force: true })
for (const file of ["package.json", "docgen.json", "src"]) {
  fs.cpSync(path.join(core, file), path.join(copy, file), { recursive: true })
}
for (const name of fs.readdirSync(path.join(copy, "src"), { recursive: true })) {
  if (name.endsWith(".ts")) {
    const file = path.join(copy, "src", name)
    fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace(assertImport, ""))
  }
}

// docgen runs `tsc` and `tsx` from PATH.
const bin = path.join(root, "node_modules", ".bin")
const { status } = spawnSync(process.execPath, [path.join(root, "node_modules", "@effect", "docgen", "bin.cjs")], {
  cwd: copy,
  env: { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH}` },
  stdio: "inherit"
})
process.exitCode = status ?? 1
