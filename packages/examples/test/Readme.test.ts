import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

const read = (path: string) => fs.readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), "utf8")

describe("README", () => {
  it("shows programs unchanged from packages/examples, whose tests run them", () => {
    const shown = [...read("README.md").matchAll(/<!-- (packages\/examples\/\S+) -->\n```ts\n(.*?)```/gs)]
    assert.isAbove(shown.length, 0)
    for (const [, path, code] of shown) assert.strictEqual(code, read(path!), path)
  })

  it("shows parts of programs unchanged, too", () => {
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

describe.each(["docs/adaptive.md", "docs/testing-your-uploads.md"])("%s", (guide) => {
  it("shows unchanged programs, or parts of them", () => {
    const shown = [...read(guide).matchAll(/<!-- (from )?(packages\/examples\/\S+) -->\n```ts\n(.*?)```/gs)]
    assert.isAbove(shown.length, 0)
    for (const [, from, path, code] of shown) {
      if (from === undefined) assert.strictEqual(code, read(path!), path)
      else assert.include(read(path!), `\n${code!}`, path)
    }
    assert.strictEqual(shown.length, read(guide).match(/\n```ts\n/g)?.length)
  })
})
