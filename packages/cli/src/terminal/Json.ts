/**
 * Lines of JSON. Signs that a terminal would obey are written as escapes, which mean the same to every reader of JSON.
 */
import { escaped } from "./TerminalText.js"

/** A value on a line. */
export const line = (value: object): string => escaped(JSON.stringify(value))
