/**
 * Renders what `@effect/cli` knows about a command as help that fits on a screen or two.
 *
 * `@effect/cli` says of every flag that it is text and that it is optional, with empty lines in between. Here each flag
 * has its own line with its description below, wrapped to the terminal.
 */
import type * as HelpDoc from "@effect/cli/HelpDoc"
import type * as Span from "@effect/cli/HelpDoc/Span"
import type { Style } from "../terminal/Style.js"

/** A subject of help. */
export interface Topic {
  /** The usage: `sluice upload <source>... <destination> [flags]`. */
  readonly synopsis: string
  /** What it does, in paragraphs. */
  readonly about: ReadonlyArray<string>
  /** The help of `@effect/cli`, for the flags. */
  readonly flags: HelpDoc.HelpDoc
  /** Further sections: headings, each with names and their meanings. */
  readonly more: ReadonlyArray<readonly [heading: string, entries: ReadonlyArray<Entry>]>
}

/** A name and its meaning. */
export type Entry = readonly [name: string, meaning: string]

/** The lines of the help. */
export const render = (
  topic: Topic,
  options: { readonly columns: number; readonly style: Style }
): ReadonlyArray<string> => {
  const { style } = options
  const columns = Math.max(40, Math.min(options.columns, 100))
  const sections = [["Flags", flagsIn(topic.flags)] as const, ...topic.more].filter(([, entries]) => entries.length > 0)
  return [
    `${style.bold("Usage:")} ${topic.synopsis}`,
    ...topic.about.flatMap((paragraph) => ["", ...wrap(paragraph, "", columns)]),
    ...sections.flatMap(([heading, entries]) => [
      "",
      style.bold(`${heading}:`),
      ...(isTable(entries, columns)
        ? entries.map(([name, meaning]) => `  ${style.cyan(name.padEnd(widest(entries)))}  ${meaning}`)
        : entries.flatMap(([name, meaning]) => [`  ${style.cyan(name)}`, ...wrap(meaning, "      ", columns)]))
    ])
  ]
}

/** The paragraphs of `@effect/cli`'s help, as text without style. */
export const plain = (doc: HelpDoc.HelpDoc): string => paragraphsIn(doc).join(" ")

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Text that `@effect/cli` adds to every description. */
const boilerplate = /^(A user-defined piece of text\.|A true or false value\.|This (setting|option|argument) .*)$/

const flagsIn = (doc: HelpDoc.HelpDoc): ReadonlyArray<Entry> => {
  switch (doc._tag) {
    case "Sequence":
      return [...flagsIn(doc.left), ...flagsIn(doc.right)]
    case "DescriptionList":
      return doc.definitions
        .map(([term, description]): Entry => [textOf(term), paragraphsIn(description).join(" ")])
        .filter(([name]) => name.startsWith("-"))
        .map(([name, meaning]) => [name.replace(/\.\.\.$/, ""), meaning])
    default:
      return []
  }
}

const paragraphsIn = (doc: HelpDoc.HelpDoc): ReadonlyArray<string> => {
  switch (doc._tag) {
    case "Sequence":
      return [...paragraphsIn(doc.left), ...paragraphsIn(doc.right)]
    case "Paragraph":
      return [textOf(doc.value)].filter((text) => !boilerplate.test(text))
    default:
      return []
  }
}

const textOf = (span: Span.Span): string => {
  switch (span._tag) {
    case "Text":
    case "URI":
      return span.value
    case "Sequence":
      return textOf(span.left) + textOf(span.right)
    default:
      return textOf(span.value)
  }
}

const widest = (entries: ReadonlyArray<Entry>): number => Math.max(...entries.map(([name]) => name.length))

/** Whether every entry fits on a line. */
const isTable = (entries: ReadonlyArray<Entry>, columns: number): boolean =>
  entries.every(([, meaning]) => widest(entries) + meaning.length + 4 <= columns)

const wrap = (text: string, indent: string, columns: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && indent.length + line.length + 1 + word.length > columns) {
      lines.push(indent + line)
      line = word
    } else {
      line = line === "" ? word : `${line} ${word}`
    }
  }
  return [...lines, indent + line]
}
