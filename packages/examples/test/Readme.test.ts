import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

const read = (path: string) => fs.readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), "utf8")

describe("README", () => {
  it("shows programs as they are in packages/examples, where they are run", () => {
    const shown = [...read("README.md").matchAll(/<!-- (packages\/examples\/\S+) -->\n```ts\n(.*?)```/gs)]
    assert.isAbove(shown.length, 0)
    for (const [, path, code] of shown) assert.strictEqual(code, read(path!), path)
  })

  it("shows parts of programs as they are there, too", () => {
    const shown = [...read("README.md").matchAll(/<!-- from (packages\/examples\/\S+) -->\n```ts\n(.*?)```/gs)]
    assert.isAbove(shown.length, 0)
    for (const [, path, code] of shown) assert.include(read(path!), `\n${code!}`, path)
  })

  it("shows no code that is not of a program", () => {
    const blocks = [...read("README.md").matchAll(/(.*)\n```ts\n/g)]
    assert.isAbove(blocks.length, 0)
    for (const [, before] of blocks) assert.match(before!, /^<!-- (?:from )?packages\/examples\/\S+ -->$/)
  })
})
