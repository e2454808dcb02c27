/**
 * The XML that S3 speaks, in both directions: elements by name, with the text in them. No DOCTYPE, no entities but the
 * predefined ones, bounded size.
 */
import { parseXml, XmlElement, XmlText } from "@rgrove/parse-xml"
import * as Option from "effect/Option"
import * as AnswerText from "../../../internal/transport/answerText.js"

/**
 * Answers larger than this are not read, in bytes: servers that answer with all parts of an upload at once have ten
 * thousand of them to tell of, and some write more than half a kilobyte of each.
 */
export const largest = 8 * 1024 * 1024

/** An element that has been read. */
export class Element {
  private readonly element: XmlElement

  constructor(element: XmlElement) {
    this.element = element
  }

  /** What it is called, without the prefix of a namespace. */
  get name(): string {
    return localName(this.element)
  }

  /** The elements of a name that it has. */
  all(name: string): ReadonlyArray<Element> {
    return this.element.children
      .filter((child): child is XmlElement => child instanceof XmlElement && localName(child) === name)
      .map((child) => new Element(child))
  }

  /** The text in the first element of a name. */
  text(name: string): string | undefined {
    const found = this.all(name)[0]
    return found?.element.children.map((child) => child instanceof XmlText ? child.text : "").join("")
  }

  /** The number in the first element of a name: a whole one that is not negative, in digits. */
  count(name: string): number | undefined {
    const text = this.text(name)?.trim() ?? ""
    const count = /^\d{1,16}$/.test(text) ? Number(text) : NaN
    return Number.isSafeInteger(count) ? count : undefined
  }
}

/** Reads a document: its root element, or nothing where it is none that S3 would send. */
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

/** Writes text as it stands between tags. */
export const escape = (text: string): string =>
  text.replace(/[&<>"'\r]/g, (character) => `&#${character.charCodeAt(0)};`)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const localName = ({ name }: XmlElement): string => name.slice(name.indexOf(":") + 1)

/** Answers of S3 have four levels. */
const deepest = 16

/** Whether elements are nested so deep that reading them would take more than a stack has. */
const isDeep = (text: string): boolean => {
  let depth = 0
  for (const [tag] of text.matchAll(/<(?![!?])[^<>]*>/g)) {
    if (tag.startsWith("</")) depth -= 1
    else if (!tag.endsWith("/>")) depth += 1
    if (depth > deepest) return true
  }
  return false
}
