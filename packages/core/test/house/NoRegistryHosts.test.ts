import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "../../../..")

const ignored = new Set([".git", ".sample", ".sluice", "build", "coverage", "dist", "node_modules"])

const walk = (directory: string): Array<string> =>
  fs.readdirSync(path.join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const file = path.posix.join(directory, entry.name)
    return ignored.has(entry.name) ? [] : entry.isDirectory() ? walk(file) : entry.isFile() ? [file] : []
  })

/** The files that a commit would contain; those of the directory if there is no git or no repository. */
const committedFiles = (): Array<string> => {
  try {
    const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
      .split("\0")
      .filter((file) => file !== "" && fs.existsSync(path.join(root, file)))
  } catch {
    return walk("")
  }
}

// Spelled in pieces, so that this file does not find itself.
const forbidden: ReadonlyArray<readonly [name: string, pattern: RegExp]> = [
  ["a registry host", new RegExp(["registry", "(npmjs|yarnpkg|npmmirror)"].join("\\."))],
  ["a tarball address", new RegExp(["tarball:", "https?:"].join("\\s*"))],
  ["a registry setting", new RegExp(["registry", "https?:"].join("\\s*[=:]\\s*[\"']?"))],
  ["a path of one machine", new RegExp(`(?<![\\w.~-])/(${["work", "root"].join("|")})/`)]
]

describe("what is committed", () => {
  it("names no registry host and no path of one machine", () => {
    const files = committedFiles()
    assert.include(files, "pnpm-lock.yaml")
    const found = files.flatMap((file) => {
      const lines = fs.readFileSync(path.join(root, file), "utf8").split("\n")
      return forbidden.flatMap(([name, pattern]) =>
        lines.flatMap((line, index) => pattern.test(line) ? [`${file}:${index + 1}: ${name}`] : [])
      )
    })
    assert.deepStrictEqual(found, [])
  })
})
