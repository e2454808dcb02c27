/**
 * Globs, in the dialect that rclone, rsync and gitignore have in common.
 *
 * | written | matches |
 * |---|---|
 * | `*` | any number of characters of one name |
 * | `**` | any number of characters, `/` included; `**` and `/` together also match the empty string |
 * | `?` | one character of a name |
 * | `[abc]`, `[a-z]`, `[!a-z]` or `[^a-z]` | one character of a name that is, or is not, one of these |
 * | `{one,two}` | either; these may be globs too |
 * | `\` and a character | that character |
 *
 * Everything else matches itself: parentheses, `!`, `+`, `@`, `^`, `$`, `|`, and braces without a comma. A `[` or `{`
 * that is not closed, and a `\` at the end, are refused as mistakes. Matching follows all alternatives at once, so the
 * number of steps is at most the length of the glob times the length of the name.
 */
import * as Either from "effect/Either"

/** A part of a glob. */
export type Token =
  | { readonly _tag: "Character"; readonly code: number }
  | { readonly _tag: "Any" }
  | { readonly _tag: "Set"; readonly has: (code: number) => boolean }
  | { readonly _tag: "Star" }
  | { readonly _tag: "Deep" }
  /** `**` and the following slash: any number of directories, each with its slash. */
  | { readonly _tag: "Directories" }
  | { readonly _tag: "OneOf"; readonly alternatives: ReadonlyArray<ReadonlyArray<Token>> }

/** Parses a glob, or says what is wrong with it, as the end of a sentence that begins with the glob. */
export const parse = (glob: string): Either.Either<ReadonlyArray<Token>, string> => {
  const characters = Array.from(glob)
  const problem = problemIn(characters)
  return problem === undefined ? Either.right(sequence(characters, 0, characters.length)) : Either.left(problem)
}

/** Whether a token is the slash between names. */
export const isSlash = (token: Token | undefined): boolean => token?._tag === "Character" && token.code === slash

/** Whether a glob contains a slash. */
export const hasSlash = (tokens: ReadonlyArray<Token>): boolean =>
  tokens.some((token) =>
    token._tag === "Directories" || isSlash(token) || (token._tag === "OneOf" && token.alternatives.some(hasSlash))
  )

/** Whether a glob can match more than one name. */
export const hasDeep = (tokens: ReadonlyArray<Token>): boolean =>
  tokens.some((token) => token._tag === "Deep" || (token._tag === "OneOf" && token.alternatives.some(hasDeep)))

/** Whether a glob matches the whole text. */
export const matcher = (tokens: ReadonlyArray<Token>): (text: string) => boolean => {
  const program: Array<Step> = []
  compile(tokens, program)
  program.push({ _tag: "End" })
  return (text) => run(program, text)
}

// -----------------------------------------------------------------------------
// reading
// -----------------------------------------------------------------------------

const slash = 0x2f

const codeOf = (character: string): number => character.codePointAt(0) ?? 0

const isOneOf = (characters: ReadonlyArray<string>, at: number): number | undefined => {
  const end = endOfBraces(characters, at)
  return end !== undefined && commasIn(characters, at, end).length > 0 ? end : undefined
}

const sequence = (characters: ReadonlyArray<string>, from: number, to: number): ReadonlyArray<Token> => {
  const tokens: Array<Token> = []
  for (let at = from; at < to; at++) {
    const character = characters[at] ?? ""
    if (character === "*") {
      const begin = at
      while (characters[at + 1] === "*" && at + 1 < to) at += 1
      const isDeep = at > begin
      const isWhole = isDeep && (begin === from || characters[begin - 1] === "/") && characters[at + 1] === "/" &&
        at + 2 < to
      if (isWhole) at += 1
      tokens.push({ _tag: isWhole ? "Directories" : isDeep ? "Deep" : "Star" })
      continue
    }
    const setEnd = character === "[" ? endOfSet(characters, at) : undefined
    const bracesEnd = character === "{" ? isOneOf(characters, at) : undefined
    if (character === "?") tokens.push({ _tag: "Any" })
    else if (setEnd !== undefined && setEnd < to) {
      tokens.push({ _tag: "Set", has: setOf(membersOf(characters, at, setEnd)) })
      at = setEnd
    } else if (bracesEnd !== undefined && bracesEnd < to) {
      const ends = [...commasIn(characters, at, bracesEnd), bracesEnd]
      const begins = [at, ...ends.slice(0, -1)]
      tokens.push({
        _tag: "OneOf",
        alternatives: begins.map((begin, i) => sequence(characters, begin + 1, ends[i] ?? bracesEnd))
      })
      at = bracesEnd
    } else {
      if (character === "\\" && at + 1 < to) at += 1
      tokens.push({ _tag: "Character", code: codeOf(characters[at] ?? "") })
    }
  }
  return tokens
}

/** The end of the set that begins at `at`; a `]` in first place is a member. */
const endOfSet = (characters: ReadonlyArray<string>, at: number): number | undefined => {
  let first = at + 1
  if (characters[first] === "!" || characters[first] === "^") first += 1
  for (let i = first; i < characters.length; i++) {
    if (characters[i] === "\\") i += 1
    else if (characters[i] === "]" && i > first) return i
  }
  return undefined
}

/** The end of the braces that begin at `at`. */
const endOfBraces = (characters: ReadonlyArray<string>, at: number): number | undefined => {
  let depth = 0
  for (let i = at; i < characters.length; i++) {
    const character = characters[i]
    if (character === "\\") i += 1
    else if (character === "[") i = endOfSet(characters, i) ?? i
    else if (character === "{") depth += 1
    else if (character === "}" && --depth === 0) return i
  }
  return undefined
}

/** The positions of the commas directly in braces, not in nested ones. */
const commasIn = (characters: ReadonlyArray<string>, at: number, end: number): ReadonlyArray<number> => {
  const commas: Array<number> = []
  let depth = 0
  for (let i = at + 1; i < end; i++) {
    const character = characters[i]
    if (character === "\\") i += 1
    else if (character === "[") i = endOfSet(characters, i) ?? i
    else if (character === "{") depth += 1
    else if (character === "}") depth -= 1
    else if (character === "," && depth === 0) commas.push(i)
  }
  return commas
}

interface Members {
  readonly isNegated: boolean
  readonly ranges: ReadonlyArray<readonly [from: number, to: number]>
}

const membersOf = (characters: ReadonlyArray<string>, at: number, end: number): Members => {
  const isNegated = characters[at + 1] === "!" || characters[at + 1] === "^"
  const ranges: Array<readonly [number, number]> = []
  let i = at + (isNegated ? 2 : 1)
  const next = (): number => {
    if (characters[i] === "\\" && i + 1 < end) i += 1
    const code = codeOf(characters[i] ?? "")
    i += 1
    return code
  }
  while (i < end) {
    const from = next()
    const isRange = characters[i] === "-" && i + 1 < end
    if (isRange) i += 1
    ranges.push([from, isRange ? next() : from])
  }
  return { isNegated, ranges }
}

const setOf = ({ isNegated, ranges }: Members) => (code: number): boolean =>
  code !== slash && ranges.some(([from, to]) => code >= from && code <= to) !== isNegated

/** The longest possible path, and so the longest sensible glob. */
const longest = 4_096

const deepest = 64

const problemIn = (characters: ReadonlyArray<string>): string | undefined => {
  if (characters.length > longest) return "is longer than any path"
  let depth = 0
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]
    if (character === "\\") {
      at += 1
      if (at === characters.length) {
        return "ends with a \\: write / between names, or \\\\ for the character itself"
      }
    } else if (character === "{") {
      depth += 1
      if (depth > deepest) return "has too many nested braces"
    } else if (character === "}") {
      depth = Math.max(0, depth - 1)
    } else if (character === "[") {
      const end = endOfSet(characters, at)
      if (end === undefined) return unclosed("[", "]")
      if (/\[:[a-z]+:/.test(characters.slice(at, end).join(""))) {
        return "has a class such as [:digit:], which is not supported: write [0-9]"
      }
      if (membersOf(characters, at, end).ranges.some(([from, to]) => from > to)) {
        return "has a range in brackets whose end comes before its start"
      }
      at = end
    }
  }
  return depth > 0 ? unclosed("{", "}") : undefined
}

const unclosed = (open: string, close: string): string =>
  `has a ${open} without a ${close}: write \\${open} for the character itself`

// -----------------------------------------------------------------------------
// matching
// -----------------------------------------------------------------------------

/** What a place in a glob accepts. Matching then moves to the next place; `Loop` and `Passing` also stay. */
type Step =
  | { readonly _tag: "One"; readonly takes: (code: number) => boolean }
  | { readonly _tag: "Loop"; readonly takes: (code: number) => boolean }
  /** Stays until the end of a directory's name, for any number of directories. */
  | { readonly _tag: "Passing" }
  | { readonly _tag: "Split"; readonly to: Array<number> }
  | { readonly _tag: "End" }

const isNoSlash = (code: number): boolean => code !== slash

const always = (): boolean => true

const compile = (tokens: ReadonlyArray<Token>, program: Array<Step>): void => {
  for (const token of tokens) {
    switch (token._tag) {
      case "Character":
        program.push({ _tag: "One", takes: (code) => code === token.code })
        break
      case "Any":
        program.push({ _tag: "One", takes: isNoSlash })
        break
      case "Set":
        program.push({ _tag: "One", takes: token.has })
        break
      case "Star":
        program.push({ _tag: "Loop", takes: isNoSlash })
        break
      case "Deep":
        program.push({ _tag: "Loop", takes: always })
        break
      case "Directories":
        program.push({ _tag: "Split", to: [program.length + 1, program.length + 2] }, { _tag: "Passing" })
        break
      case "OneOf": {
        const begins: Array<number> = []
        const ends: Array<{ readonly to: Array<number> }> = []
        program.push({ _tag: "Split", to: begins })
        for (const alternative of token.alternatives) {
          begins.push(program.length)
          compile(alternative, program)
          const end = { _tag: "Split" as const, to: [] as Array<number> }
          program.push(end)
          ends.push(end)
        }
        for (const { to } of ends) to.push(program.length)
        break
      }
      default:
        token satisfies never
    }
  }
}

const run = (program: ReadonlyArray<Step>, text: string): boolean => {
  // For each place, the position in the text at which it was last reached.
  const seen = new Int32Array(program.length).fill(-1)
  let here: Array<number> = []
  let next: Array<number> = []
  const add = (first: number, before: number, places: Array<number>): void => {
    const waiting = [first]
    for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
      if (seen[place] === before) continue
      seen[place] = before
      const step = program[place]
      if (step?._tag === "Split") waiting.push(...step.to)
      else {
        places.push(place)
        if (step?._tag === "Loop") waiting.push(place + 1)
      }
    }
  }
  add(0, 0, here)
  let at = 0
  while (at < text.length && here.length > 0) {
    const code = text.codePointAt(at) ?? 0
    at += code > 0xffff ? 2 : 1
    for (const place of here) {
      const step = program[place]
      if (step?._tag === "One") {
        if (step.takes(code)) add(place + 1, at, next)
      } else if (step?._tag === "Loop") {
        if (step.takes(code)) add(place, at, next)
      } else if (step?._tag === "Passing") {
        add(place, at, next)
        if (code === slash) add(place + 1, at, next)
      }
    }
    here = next
    next = []
  }
  return at === text.length && here.includes(program.length - 1)
}
