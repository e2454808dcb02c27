/**
 * How an uploader sends files in parts, decoded from its options.
 */
import type * as ByteSize from "../../ByteSize.js"
import * as Checksum from "../../Checksum.js"
import type { Capabilities } from "../../Destination.js"
import type { PartSettings } from "../upload/env.js"
import * as Decode from "../values/decode.js"

export interface PartOptions {
  readonly multipartThreshold?: ByteSize.ByteSizeInput | undefined
  readonly partSize?: ByteSize.ByteSizeInput | undefined
  readonly partConcurrency?: number | undefined
  readonly checksum?: Checksum.Algorithm | "none" | undefined
}

/** Throws a `RangeError` if an option is invalid. */
export const partSettings = (
  options: PartOptions,
  defaults: { readonly [K in "multipartThreshold" | "partSize" | "partConcurrency"]: NonNullable<PartOptions[K]> },
  capabilities: Capabilities
): PartSettings => ({
  threshold: Decode.size("multipartThreshold", options.multipartThreshold ?? defaults.multipartThreshold, 0),
  partSize: Decode.size("partSize", options.partSize ?? defaults.partSize),
  partConcurrency: Decode.count("partConcurrency", options.partConcurrency ?? defaults.partConcurrency),
  checksum: checksumOf(options.checksum, capabilities)
})

const checksumOf = (
  checksum: PartOptions["checksum"],
  { checksums }: Capabilities
): Checksum.Algorithm | undefined => {
  if (checksum === undefined) return checksums?.[0]
  Decode.oneOf("checksum", checksum, ["none", ...Checksum.algorithms])
  return checksum === "none" ? undefined : checksum
}
