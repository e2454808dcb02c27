import { assert, describe, it } from "@effect/vitest"
import { draw, named } from "../../../../scripts/mutate/draw.mjs"
import type { Mutant } from "../../../../scripts/mutate/draw.mjs"

/** One mutant for each line of a file. */
const mutantsOf = (...lines: ReadonlyArray<string>): ReadonlyArray<Mutant> =>
  lines.map((original) => ({ file: "a.ts", mutator: "BlockStatement", original, replacement: "{}" }))

const many = named(mutantsOf(...Array.from({ length: 500 }, (_, i) => `{ line(${i % 400}) }`)))

const namesOf = (mutants: ReturnType<typeof draw>) => mutants.map(({ name }) => name)

describe("the draw of mutants", () => {
  it("gives each mutant its own name, even if two are equal", () => {
    assert.strictEqual(new Set(namesOf(many)).size, 500)
  })

  it("is the same for the same seed, and begins with the draw of a smaller sample", () => {
    const twenty = namesOf(draw(many, { sample: 20, seed: 1 }))
    assert.lengthOf(new Set(twenty), 20)
    assert.deepStrictEqual(namesOf(draw(many, { sample: 20, seed: 1 })), twenty)
    assert.deepStrictEqual(namesOf(draw(many, { sample: 200, seed: 1 })).slice(0, 20), twenty)
    assert.notDeepEqual(namesOf(draw(many, { sample: 20, seed: 2 })), twenty)
    assert.lengthOf(draw(many, { sample: 1_000, seed: 1 }), 500)
  })

  it("changes with the mutated code only", () => {
    const before = namesOf(named(mutantsOf("{ a }", "{ b }", "{ c }", "{ c }")))
    const after = namesOf(named(mutantsOf("{ new }", "{ a }", "{ c }", "{ changed }", "{ c }")))
    assert.deepStrictEqual(before.map((name) => after.includes(name)), [true, false, true, true])
  })
})
