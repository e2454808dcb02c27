/**
 * Lines of JSON. Control characters that a terminal would obey are written as escapes, which every JSON parser
 * understands.
 */
import { escaped } from "./TerminalText.js"

/** A value as one line. */
export const line = (value: object): string => escaped(JSON.stringify(value))
