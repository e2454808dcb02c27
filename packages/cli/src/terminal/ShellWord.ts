/**
 * Arguments as a person would type them again, for commands that messages tell of.
 */
import { printable } from "./TerminalText.js"

/** An argument, in quotes where a shell would read it as something else. */
export const of = (text: string): string =>
  /^[\w@%+=:,./~-]+$/.test(text) ? text : `'${printable(text).replaceAll("'", "'\\''")}'`
