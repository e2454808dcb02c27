/**
 * The capabilities that a tus server reports in its answer to `OPTIONS`.
 */
import type { Algorithm } from "../../../Checksum.js"
import type { Head } from "../../../Transport.js"

export interface Offer {
  /** The names of the extensions, such as `creation-with-upload`. */
  readonly extensions: ReadonlyArray<string>
  /** The largest upload, in bytes; `undefined` if there is no limit, or none is given. */
  readonly maxSize?: number | undefined
  /** The checksums that the server verifies; the first is the default to use. Defaults to none. */
  readonly checksums?: ReadonlyArray<Algorithm> | undefined
}

/** The supported version of the protocol. */
export const version = "1.0.0"

/** The capabilities that are assumed if the server does not report any. */
export const unknown: Offer = { extensions: ["creation", "creation-defer-length", "termination"] }

/** The versions that a server says it supports. */
export const versionsOf = ({ headers }: Head): ReadonlyArray<string> => listOf(headers["tus-version"])

/** Reads an answer to `OPTIONS` of a server that speaks this version. */
export const read = ({ headers }: Head): Offer => {
  const extensions = listOf(headers["tus-extension"])
  const verified = new Set(listOf(headers["tus-checksum-algorithm"]))
  return {
    extensions,
    maxSize: sizeOf(headers["tus-max-size"]),
    checksums: extensions.includes("checksum") ? preferred.filter((algorithm) => verified.has(algorithm)) : []
  }
}

/** A number of bytes from a header. */
export const sizeOf = (header: string | undefined): number | undefined => {
  if (header === undefined || !/^\d{1,16}$/.test(header)) return undefined
  const size = Number(header)
  return Number.isSafeInteger(size) ? size : undefined
}

// The protocol names only SHA-1. Among others, algorithms whose byte order is unambiguous come first.
const preferred: ReadonlyArray<Algorithm> = ["sha256", "md5", "crc32c", "crc32"]

const listOf = (header: string | undefined): ReadonlyArray<string> =>
  (header ?? "").split(",").map((item) => item.trim().toLowerCase()).filter((item) => item !== "")
