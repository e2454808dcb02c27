/**
 * Reads and writes the XML of S3: elements by name, with their text. A DOCTYPE, entities other than the predefined
 * ones, and documents beyond a certain size are not accepted.
 */
import { parseXml, XmlElement, XmlText } from "@rgrove/parse-xml"
import * as Option from "effect/Option"
import * as AnswerText from "../../../internal/transport/answerText.js"

/**
 * The largest answer that is read, in bytes: servers that list all parts of an upload at once have ten thousand of
 * them, and some write more than half a kilobyte for each.
 */
export const largest = 8 * 1024 * 1024

/** A parsed element. */
export class Element {
  private readonly element: XmlElement

  constructor(element: XmlElement) {
    this.element = element
  }

  /** Its name without namespace prefix. */
  get name(): string {
    return localName(this.element)
  }

  /** Its child elements with a name. */
  all(name: string): ReadonlyArray<Element> {
    return this.element.children
      .filter((child): child is XmlElement => child instanceof XmlElement && localName(child) === name)
      .map((child) => new Element(child))
  }

  /** The text of the first child element with a name. */
  text(name: string): string | undefined {
    const found = this.all(name)[0]
    return found?.element.children.map((child) => child instanceof XmlText ? child.text : "").join("")
  }

  /** The number in the first child element with a name: whole, not negative, in digits. */
  count(name: string): number | undefined {
    const text = this.text(name)?.trim() ?? ""
    const count = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    return Number.isSafeInteger(count) ? count : undefined
  }
}

/** Reads a document: its root element, or `None` if it is not one that S3 would send. */
export const parse = (bytes: Uint8Array, contentType: string | undefined = undefined): Option.Option<Element> => {
  if (bytes.length > largest) return Option.none()
  return AnswerText.decode(bytes, contentType).pipe(
    Option.map((text) => text.trim()),
    Option.filter((text) => !/<!DOCTYPE/i.test(text) && !isDeep(text)),
    Option.flatMap(Option.liftThrowable((text) => parseXml(text))),
    Option.flatMapNullable(({ root }) => root),
    Option.map((root) => new Element(root))
  )
}

/** Escapes text for use between tags. */
export const escape = (text: string): string =>
  text.replace(/[&<>"'\r]/g, (character) => `&#${character.charCodeAt(0)};`)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const localName = ({ name }: XmlElement): string => name.slice(name.indexOf(":") + 1)

/** S3 answers have four levels. */
const deepest = 16

/** Whether elements are nested so deeply that reading them could overflow the stack. */
const isDeep = (text: string): boolean => {
  let depth = 0
  for (const [tag] of text.matchAll(/<(?![!?])[^<>]*>/g)) {
    if (tag.startsWith("</")) depth -= 1
    else if (!tag.endsWith("/>")) depth += 1
    if (depth > deepest) return true
  }
  return false
}
