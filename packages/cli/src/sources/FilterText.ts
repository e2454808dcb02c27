/**
 * What a filter has left out, told to people: so that a pattern that takes too much, or nothing, is seen.
 */
import * as Option from "effect/Option"
import * as path from "node:path"
import * as Format from "../terminal/Format.js"
import { printable } from "../terminal/TerminalText.js"
import type * as Filter from "./Filter.js"

/** What there is to know besides. */
export interface Around {
  /** The sources, as they were typed. */
  readonly sources: ReadonlyArray<string>
  readonly cwd: string
}

/** The sources, and where the command runs: a directory that is gone is none. */
export const around = (sources: ReadonlyArray<string>): Around => ({
  sources,
  cwd: Option.getOrElse(Option.liftThrowable(() => process.cwd())(), () => "/")
})

/** How much was left out and by which patterns: for where nothing is left. Empty where no pattern left out anything. */
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
  return lines.length === 0 ? [] : ["Left out were:", ...lines]
}

/** Patterns that have matched nothing, each with what may have been meant, where that can be told. */
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
        `${name(all)} leaves out everything, what ${
          included.map(name).join(" and ")
        } would take included: leave it out. ` +
        "Where there is an --include, nothing else is taken."
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
  if (/^\^|\$$|\.\*|\\\./.test(glob)) return "it is a glob, not a regular expression. Write such as \"*.jpg\"."
  if (glob.includes("\\") && /^[^\\]+(\\[^\\*?[\]{},]+)+\\?\*?$/.test(glob)) {
    return "names are parted by /, and \\ makes the next character stand for itself."
  }
  const parts = outsideOfBraces(glob)
  if (parts.length > 1) {
    return `a comma stands for itself. Write ${parts.map((part) => `${flag} ${quoted(part)}`).join(" ")}, or ${flag} ${
      quoted(`{${parts.join(",")}}`)
    }.`
  }
  if (glob.startsWith("!")) return "! stands for itself: there are --include and --exclude."
  if (/\([^)]*\|/.test(glob) || /[@+!]\(/.test(glob)) return "parentheses stand for themselves. Write {one,two}."
  return undefined
}

/** Where a pattern that was written as a path lies within a source. */
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

/** What commas part that are not in braces. */
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
