/**
 * The differences between S3 servers. Sources: the S3 compatibility pages of Cloudflare R2, Backblaze B2 and Google
 * Cloud Storage, and the answers of Swift's s3api.
 */
import type { Algorithm } from "../../../Checksum.js"
import type { PartLimits } from "../../../Destination.js"

export type Provider = "aws" | "r2" | "b2" | "minio" | "ceph" | "swift" | "gcs" | "other"

export interface Profile {
  readonly provider: Provider
  /** The algorithms that it verifies; the first is the default to use. */
  readonly checksums: ReadonlyArray<Algorithm>
  /** The algorithms for which it takes one checksum of a whole multipart object. */
  readonly fullObject: ReadonlyArray<Algorithm>
  /** Whether the etag of an unencrypted object from one request is its MD5. */
  readonly etagIsMd5: boolean
  /** The same for parts; `undefined` if unknown, to be found out. */
  readonly partEtagIsMd5: boolean | undefined
  /** Whether it heeds `If-None-Match` when an object is put; `undefined` if unknown, so that a look comes first. */
  readonly conditionalPut: boolean | undefined
  /** The same when a multipart upload is completed. */
  readonly conditionalComplete: boolean | undefined
  /** The region of requests if none was given. */
  readonly region: string
  /** The most metadata that it takes, names and values together, in bytes. */
  readonly maxMetadata: number
  /** The largest object that one request can put, in bytes. */
  readonly maxPutSize: number
  readonly limits: PartLimits
}

/** The profile of a provider. */
export const of = (provider: Provider): Profile => profiles[provider]

/** The provider at an endpoint, as far as its name tells; AWS if there is no endpoint. */
export const at = (hostname: string | undefined): Provider =>
  hostname === undefined ? "aws" : hosts.find(([pattern]) => pattern.test(hostname))?.[1] ?? "other"

/** The region in the name of an endpoint. */
export const regionAt = (hostname: string | undefined): string | undefined =>
  hostname === undefined ? undefined : /^(?:.+\.)?s3[.-]([a-z]{2}(?:-[a-z]+)+-\d+)\./.exec(hostname)?.[1]

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const mib = 1024 ** 2

const gib = 1024 ** 3

const limits: PartLimits = {
  minSize: 5 * mib,
  maxSize: 5 * gib,
  multiple: 1,
  maxCount: 10_000,
  maxObjectSize: 10_000 * 5 * gib,
  inOrder: false
}

const hosts: ReadonlyArray<readonly [RegExp, Provider]> = [
  [/(?:^|\.)amazonaws\.com(?:\.cn)?$/, "aws"],
  [/\.r2\.cloudflarestorage\.com$/, "r2"],
  [/\.backblazeb2\.com$/, "b2"],
  [/(?:^|\.)storage\.googleapis\.com$/, "gcs"]
]

const other: Profile = {
  provider: "other",
  checksums: ["md5"],
  fullObject: [],
  etagIsMd5: true,
  partEtagIsMd5: undefined,
  conditionalPut: undefined,
  conditionalComplete: undefined,
  region: "us-east-1",
  maxMetadata: Infinity,
  maxPutSize: 5 * gib,
  limits
}

const profiles: Readonly<Record<Provider, Profile>> = {
  aws: {
    ...other,
    provider: "aws",
    checksums: ["crc32", "crc32c", "crc64nvme", "sha256", "md5"],
    fullObject: ["crc32", "crc32c", "crc64nvme"],
    partEtagIsMd5: true,
    conditionalPut: true,
    conditionalComplete: true,
    maxMetadata: 2 * 1024
  },
  r2: {
    ...other,
    provider: "r2",
    checksums: ["md5", "crc64nvme", "crc32", "crc32c", "sha256"],
    fullObject: ["crc64nvme"],
    partEtagIsMd5: false,
    conditionalPut: true,
    conditionalComplete: true,
    region: "auto",
    maxMetadata: 8 * 1024,
    maxPutSize: 5 * gib - 5 * mib,
    limits: { ...limits, maxSize: 5 * gib - 5 * mib, maxObjectSize: 5 * 1024 * gib - 5 * gib, equalParts: true }
  },
  b2: {
    ...other,
    provider: "b2",
    partEtagIsMd5: false,
    conditionalPut: false,
    conditionalComplete: false,
    maxMetadata: 7_000,
    maxPutSize: 5e9,
    limits: { ...limits, maxSize: 5e9, maxObjectSize: 10e12 }
  },
  minio: {
    ...other,
    provider: "minio",
    checksums: ["md5", "crc32", "crc32c", "crc64nvme", "sha256"],
    partEtagIsMd5: true,
    conditionalPut: true,
    conditionalComplete: true,
    maxMetadata: 2 * 1024,
    limits: { ...limits, maxObjectSize: 50 * 1024 * gib }
  },
  ceph: { ...other, provider: "ceph", partEtagIsMd5: true, conditionalPut: true },
  swift: {
    ...other,
    provider: "swift",
    partEtagIsMd5: true,
    conditionalPut: false,
    conditionalComplete: false
  },
  gcs: {
    ...other,
    provider: "gcs",
    partEtagIsMd5: false,
    conditionalPut: false,
    conditionalComplete: false,
    region: "auto",
    maxMetadata: 8 * 1024,
    limits: { ...limits, maxObjectSize: 5 * 1024 * gib }
  },
  other
}
