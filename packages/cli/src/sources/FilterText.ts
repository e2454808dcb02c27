/**
 * Describes what a filter has left out, so that users notice a pattern that matches too much or nothing.
 */
import * as Option from "effect/Option"
import * as path from "node:path"
import * as Format from "../terminal/Format.js"
import { printable } from "../terminal/TerminalText.js"
import type * as Filter from "./Filter.js"

/** The context of a filter. */
export interface Around {
  /** The sources, as the user typed them. */
  readonly sources: ReadonlyArray<string>
  readonly cwd: string
}

/** The sources and the current directory, unless that no longer exists. */
export const around = (sources: ReadonlyArray<string>): Around => ({
  sources,
  cwd: Option.getOrElse(Option.liftThrowable(() => process.cwd())(), () => "/")
})

/** How much was left out and by which patterns, for when nothing is left. Empty if no pattern left anything out. */
export const leftOut = ({ excluded, notIncluded }: Filter.LeftOut): ReadonlyArray<string> => {
  const lines = [
    ...excluded.map(({ directories, files, flag, glob }) =>
      `  ${
        [
          ...(files > 0 ? [Format.counted(files, "file")] : []),
          ...(directories > 0 ? [`${Format.count(directories)} director${directories === 1 ? "y" : "ies"}`] : [])
        ].join(" and ")
      } by ${flag} ${quoted(glob)}`
    ),
    ...(notIncluded > 0 ? [`  ${Format.counted(notIncluded, "file")} that no --include matches`] : [])
  ]
  return lines.length === 0 ? [] : ["Left out:", ...lines]
}

/** Patterns that matched nothing, each with a guess at what was meant, if there is one. */
export const unmatched = (
  { excluded, included, unmatched }: Filter.LeftOut,
  around: Around
): ReadonlyArray<string> => {
  const all = excluded.find(({ glob }) => /^\/?\*{1,2}$/.test(glob))
  const isShadowed = ({ flag }: Filter.Given) => flag === "--include" && all !== undefined
  const hints = unmatched.flatMap((given) =>
    (isShadowed(given) ? [] : [hintFor(given, around)]).flatMap((hint) =>
      hint === undefined ? [] : [`${name(given)} matched nothing: ${hint}`]
    )
  )
  const others = unmatched.filter((given) => !isShadowed(given) && hintFor(given, around) === undefined)
  return [
    ...(all !== undefined && included.length > 0
      ? [
        `${name(all)} leaves out everything, even what ${included.map(name).join(" and ")} would take. Remove it: ` +
        "with an --include, nothing else is taken anyway."
      ]
      : []),
    ...hints,
    ...(others.length > 0 ? [`${others.map(name).join(" and ")} matched nothing.`] : [])
  ]
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const quoted = (glob: string): string => `"${printable(glob)}"`

const name = ({ flag, glob }: Filter.Given): string => `${flag} ${quoted(glob)}`

const hintFor = ({ flag, glob }: Filter.Given, around: Around): string | undefined => {
  const inside = insideOf(glob, around)
  if (inside !== undefined) {
    return `patterns are relative to the source. Write ${flag} ${quoted(`/${inside}`)}.`
  }
  if (/^(?:[a-z]:[\\/]|~\/|\.\.\/)/i.test(glob)) return "patterns are relative to the source, such as \"raw/**\"."
  if (/^\^|\$$|\.\*|\\\./.test(glob)) return "it is a glob, not a regular expression. Write, for example, \"*.jpg\"."
  if (glob.includes("\\") && /^[^\\]+(\\[^\\*?[\]{},]+)+\\?\*?$/.test(glob)) {
    return "/ separates names, and \\ makes the next character match itself."
  }
  const parts = outsideOfBraces(glob)
  if (parts.length > 1) {
    return `a comma matches itself. Write ${parts.map((part) => `${flag} ${quoted(part)}`).join(" ")}, or ${flag} ${
      quoted(`{${parts.join(",")}}`)
    }.`
  }
  if (glob.startsWith("!")) return "! matches itself: use --include and --exclude."
  if (/\([^)]*\|/.test(glob) || /[@+!]\(/.test(glob)) return "parentheses match themselves. Write {one,two}."
  return undefined
}

/** The place within a source of a pattern that was written as a path. */
const insideOf = (glob: string, { cwd, sources }: Around): string | undefined => {
  const absolute = path.resolve(cwd, glob)
  for (const source of sources) {
    const inside = path.relative(path.resolve(cwd, source), absolute)
    if (inside !== "" && inside !== ".." && !inside.startsWith(`..${path.sep}`) && !path.isAbsolute(inside)) {
      const isSame = inside === glob.replace(/^\.?\/+/, "").replace(/\/+$/, "")
      if (!isSame && glob.includes("/")) return inside.split(path.sep).join("/")
    }
  }
  return undefined
}

/** The parts between commas outside of braces. */
const outsideOfBraces = (glob: string): ReadonlyArray<string> => {
  const parts = [""]
  let depth = 0
  for (const character of glob) {
    if (character === "{") depth += 1
    if (character === "}") depth -= 1
    if (character === "," && depth === 0) parts.push("")
    else parts[parts.length - 1] += character
  }
  return parts.map((part) => part.trim()).filter((part) => part !== "")
}
