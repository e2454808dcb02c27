// The seeded draw of mutants. It does not change as long as the code of the mutants does not.
import { createHash } from "node:crypto"

/** A short hash of texts. */
export const digest = (...texts) => {
  const hash = createHash("sha256")
  for (const text of texts) hash.update(text).update("\0")
  return hash.digest("hex").slice(0, 16)
}

/**
 * Names each mutant by its file, its mutator, the original code and the replacement. Line numbers are not part of the
 * name, so an edit elsewhere in a file changes neither names nor the draw. Equal mutants of a file are numbered.
 */
export const named = (mutants) => {
  const seen = new Map()
  return mutants.map((mutant) => {
    const name = digest(mutant.file, mutant.mutator, mutant.original, mutant.replacement)
    const earlier = seen.get(name) ?? 0
    seen.set(name, earlier + 1)
    return { ...mutant, name: `${name}-${earlier}` }
  })
}

/** Draws `sample` of the mutants in random order. A larger sample begins with all of a smaller one. */
export const draw = (mutants, { sample, seed }) =>
  mutants
    .map((mutant) => ({ mutant, rank: digest(String(seed), mutant.name) }))
    .sort((a, b) => a.rank < b.rank ? -1 : 1)
    .slice(0, sample)
    .map(({ mutant }) => mutant)
