/**
 * The headers that go with an object besides its bytes. Nothing in an object's details can become a header of its own.
 */
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import type { CreateRequest } from "../../../Destination.js"
import { Rejected } from "../../../UploadError.js"
import type { Profile } from "./provider.js"

export interface MetadataOptions {
  readonly cacheControl?: string | undefined
  readonly storageClass?: string | undefined
  readonly acl?: string | undefined
  readonly serverSideEncryption?: string | undefined
  readonly kmsKeyId?: string | undefined
  readonly tags?: Readonly<Record<string, string>> | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** The header that keeps the modification time, in seconds, as in rclone. */
export const mtime = "x-amz-meta-mtime"

export type Described = Pick<CreateRequest, "contentType" | "metadata" | "modifiedAt">

/** Makes the headers that describe an object; those that all objects share are made once. */
export const make = (
  options: MetadataOptions,
  profile: Profile
): (request: Described) => Either.Either<Record<string, string>, Rejected> => {
  const shared = sharedHeaders(options)
  const { metadata: common } = options
  if (Either.isLeft(shared)) return () => shared
  return ({ contentType = defaultType, metadata, modifiedAt }) => {
    if (!isPrintable(contentType)) return refused(`${JSON.stringify(contentType)} is not a valid content type.`)
    const headers: Record<string, string> = { "content-type": contentType, ...shared.right }
    if (metadata !== undefined || common !== undefined) {
      const problem = addMetadata(headers, { ...common, ...metadata }, profile.maxMetadata)
      if (problem !== undefined) return Either.left(problem)
    }
    if (modifiedAt !== undefined) headers[mtime] = String(modifiedAt / 1000)
    return Either.right(headers)
  }
}

/** The modification time with which an object was put, in milliseconds since the epoch. */
export const modifiedAt = (headers: Readonly<Record<string, string>>): number | undefined => {
  const text = headers[mtime]
  const seconds = text === undefined || text === "" ? NaN : Number(text)
  return Number.isNaN(seconds) ? undefined : Math.round(seconds * 1000)
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const defaultType = "application/octet-stream"

const metaPrefix = "x-amz-meta-"

const sharedHeaders = (options: MetadataOptions): Either.Either<Record<string, string>, Rejected> => {
  const headers: Record<string, string> = {}
  const said = {
    "cache-control": options.cacheControl,
    "x-amz-acl": options.acl,
    "x-amz-server-side-encryption": options.serverSideEncryption,
    "x-amz-server-side-encryption-aws-kms-key-id": options.kmsKeyId,
    "x-amz-storage-class": options.storageClass,
    "x-amz-tagging": options.tags === undefined ? undefined : tagging(options.tags)
  }
  for (const [name, value] of [...Object.entries(said), ...Object.entries(options.headers ?? {})]) {
    if (value === undefined) continue
    const lower = name.toLowerCase()
    if (!isToken(lower) || ours.has(lower) || !isPrintable(value)) {
      return refused(`The header ${JSON.stringify(name.slice(0, 100))} cannot be sent with objects.`)
    }
    headers[lower] = value
  }
  return Either.right(headers)
}

/** Headers that requests already have. */
const ours: ReadonlySet<string> = new Set([
  "authorization",
  "connection",
  "content-length",
  "content-md5",
  "expect",
  "host",
  "if-none-match",
  "transfer-encoding",
  "x-amz-content-sha256",
  "x-amz-date",
  "x-amz-security-token"
])

const tagging = (tags: Readonly<Record<string, string>>): string => new URLSearchParams(tags).toString()

const addMetadata = (
  headers: Record<string, string>,
  metadata: Readonly<Record<string, string>>,
  most: number
): Rejected | undefined => {
  let size = 0
  for (const [given, text] of Object.entries(metadata)) {
    const name = metaName(given)
    if (headers[metaPrefix + name] !== undefined) {
      return rejected("Unsupported", `Two metadata names are the same in S3: ${JSON.stringify(name)}.`)
    }
    const value = metaValue(text)
    headers[metaPrefix + name] = value
    size += name.length + value.length
  }
  return size > most ? rejected("TooLarge", `The metadata has ${size} bytes; at most ${most} are allowed.`) : undefined
}

/** Metadata names are tokens in lower case; other characters are replaced. */
const metaName = (name: string): string => name.toLowerCase().replace(/[^a-z0-9!#$&'*+.^_`|~-]/g, "-") || "-"

/** Values are printable ASCII; others are encoded by RFC 2047, which S3 understands. */
const metaValue = (value: string): string =>
  isPrintable(value) && value.trim() === value && !value.includes("=?") ? value : encodedWords(value)

/** A word has at most 75 characters and contains only whole characters. */
const encodedWords = (value: string): string => {
  const words: Array<string> = []
  let word = ""
  let size = 0
  for (const character of value) {
    const bytes = new TextEncoder().encode(character).length
    if (size + bytes > 45) {
      words.push(word)
      word = ""
      size = 0
    }
    word += character
    size += bytes
  }
  words.push(word)
  return words.map((text) => `=?UTF-8?B?${Encoding.encodeBase64(text)}?=`).join(" ")
}

const isToken = (name: string): boolean => /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name)

const isPrintable = (value: string): boolean => /^[\x20-\x7e]*$/.test(value)

const rejected = (reason: Rejected["reason"], detail: string) => new Rejected({ reason, detail })

const refused = (detail: string) => Either.left(rejected("Unsupported", detail))
