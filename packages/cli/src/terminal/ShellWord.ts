/**
 * Quotes arguments for the shell, for commands in messages.
 */
import { printable } from "./TerminalText.js"

/** An argument, in quotes if a shell would interpret it. */
export const of = (text: string): string =>
  /^[\w@%+=:,./~-]+$/.test(text) ? text : `'${printable(text).replaceAll("'", "'\\''")}'`
