// Which mutants are tried: a draw by seed that stays the same as long as the code of a mutant does.
import { createHash } from "node:crypto"

/** A short name for a text. */
export const digest = (...texts) => {
  const hash = createHash("sha256")
  for (const text of texts) hash.update(text).update("\0")
  return hash.digest("hex").slice(0, 16)
}

/**
 * Names each mutant by its file, what is mutated, and into what. A line number is not part of it, so that an edit above
 * a mutant changes neither its name nor the draw; equal mutants of a file are numbered.
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

/** Draws `sample` of the named mutants, in random order: those of a smaller sample come first in a larger one. */
export const draw = (mutants, { sample, seed }) =>
  mutants
    .map((mutant) => ({ mutant, rank: digest(String(seed), mutant.name) }))
    .sort((a, b) => a.rank < b.rank ? -1 : 1)
    .slice(0, sample)
    .map(({ mutant }) => mutant)
