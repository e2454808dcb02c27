import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const sources = path.resolve(import.meta.dirname, "../../src")

/** The calls right before or inside a fork that make it interruptible in any region. */
const before = /Effect\.interruptible,\s*$/
const inside = /^\s*\(\s*(?:Effect\.interruptible|restore)\s*\(/

/** The test kit forks what a simulated process does, which nothing interrupts but its death. */
const isExempt = (file: string): boolean => /^testing\/|\/(?:fault|history)[A-Z]/.test(file)

/** Forks of effects that say it where they are made. */
const saidElsewhere: ReadonlySet<string> = new Set([
  // `one` restores what it runs, and what follows must not be cut.
  // `uploaded` makes interruptible what can be.
  "internal/engine/single.ts: return Effect.flatMap(Effect.forkDaemon(uploaded(new Upload(run, file))), (fiber) => {",
  "internal/upload/inParallel.ts: Effect.replicateEffect(Effect.forkDaemon(one), count)"
])

const forks = (file: string): ReadonlyArray<string> => {
  const text = fs.readFileSync(path.join(sources, file), "utf8")
  return Array.from(text.matchAll(/Effect\.fork(?:Daemon|Scoped|In)?\b/g)).flatMap((found) => {
    const end = found.index + found[0].length
    if (before.test(text.slice(0, found.index)) || inside.test(text.slice(end))) return []
    const line = text.slice(text.lastIndexOf("\n", found.index) + 1, text.indexOf("\n", end)).trim()
    if (/^(\*|\/\/|\/\*)/.test(line)) return []
    return [...saidElsewhere].some((said) => said.startsWith(`${file}: `) && line.includes(said.slice(file.length + 2)))
      ? []
      : [`${file}: ${line}`]
  })
}

describe("a fiber of the library's own", () => {
  it("is forked interruptible: in an uninterruptible region it could never be ended", () => {
    const files = fs.readdirSync(sources, { recursive: true, encoding: "utf8" })
      .map((file) => file.replaceAll("\\", "/"))
      .filter((file) => file.endsWith(".ts") && !isExempt(file))
    assert.isAbove(files.length, 100)
    assert.deepStrictEqual(files.flatMap(forks), [])
  })
})
