// Stryker's mutants, placed side by side in the sources. A process runs the one that its environment names.
import { createInstrumenter } from "@stryker-mutator/instrumenter"
import * as fs from "node:fs"
import * as path from "node:path"

/** Strings are mostly messages, and tests that repeat them are not better tests. */
const leftOut = new Set(["StringLiteral"])

const quiet = () => {}
const logger = {
  isDebugEnabled: () => false,
  isTraceEnabled: () => false,
  debug: quiet,
  info: quiet,
  trace: quiet,
  warn: console.warn,
  error: console.error
}

/** Stryker's instrumenter, which places only the chosen mutants. */
const instrumenterOf = (isChosen) => {
  const choosing = (transform) => (ast, all, context) => {
    const collector = {
      collect: (...args) => {
        const mutant = all.collect(...args)
        if (!isChosen(mutant)) mutant.ignoreReason = "not chosen"
        return mutant
      },
      hasPlacedMutants: (file) => all.hasPlacedMutants(file)
    }
    return transform(ast, collector, context)
  }
  const values = new Map()
  const injector = {
    provideValue: (token, value) => {
      values.set(token, value.name === "transform" ? choosing(value) : value)
      return injector
    },
    injectClass: (Class) => new Class(logger, ...Class.inject.slice(1).map((token) => values.get(token)))
  }
  return createInstrumenter(injector)
}

const options = { excludedMutations: [], ignorers: [], plugins: null }

const read = (root, files) =>
  files.map((name) => ({ name, mutate: true, content: fs.readFileSync(path.join(root, name), "utf8") }))

const textAt = (lines, { end, start }) => {
  const text = lines.slice(start.line, end.line + 1)
  text[text.length - 1] = text.at(-1).slice(0, end.column)
  text[0] = text[0].slice(start.column)
  return text.join("\n")
}

/** All mutants of the files, without those of strings. Their ids are valid for these files in this order. */
export const mutantsOf = async (root, files) => {
  const sources = read(root, files)
  const { mutants } = await instrumenterOf(() => false).instrument(sources, options)
  const lines = new Map(sources.map(({ content, name }) => [name, content.split("\n")]))
  return mutants.filter(({ mutatorName }) => !leftOut.has(mutatorName)).map((mutant) => ({
    id: mutant.id,
    file: mutant.fileName,
    mutator: mutant.mutatorName,
    line: mutant.location.start.line + 1,
    column: mutant.location.start.column + 1,
    original: textAt(lines.get(mutant.fileName), mutant.location),
    replacement: mutant.replacement
  }))
}

/** The files with chosen mutants, instrumented. */
export const instrumented = async (root, files, chosen) => {
  const ids = new Set(chosen.map(({ id }) => id))
  const changed = new Set(chosen.map(({ file }) => file))
  const result = await instrumenterOf(({ id }) => ids.has(id)).instrument(read(root, files), options)
  return result.files.filter(({ name }) => changed.has(name))
}
