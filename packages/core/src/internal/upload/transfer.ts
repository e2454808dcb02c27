/**
 * Bytes on their way from a source to the destination: those of a small file, or of one part of a large one.
 */
import type * as ByteSource from "../../ByteSource.js"
import type { Algorithm } from "../../Checksum.js"
import type { SourceError } from "../../UploadError.js"
import type { Owner } from "../bytes/bodyOwner.js"
import { Watched } from "../bytes/watch.js"

export abstract class Transfer extends Watched implements Owner {
  abstract readonly source: ByteSource.ByteSource
  abstract readonly offset: number
  abstract readonly size: number | undefined
  abstract readonly toEnd: boolean
  abstract readonly fingerprint: string | undefined
  abstract readonly checksum: Algorithm | undefined
  /** Bytes handed to the destination. */
  handedOut = 0
  /** The source's failure, which is the reason, whatever the driver makes of it. */
  sourceError: SourceError | undefined = undefined

  /** Counts bytes that were handed to the destination, or takes them back if they are negative. */
  protected abstract count(bytes: number): void

  onOpen(): void {}

  onSent(bytes: number): void {
    this.handedOut += bytes
    this.moved()
    this.count(bytes)
  }

  onTakenBack(bytes: number): void {
    this.handedOut -= bytes
    this.count(-bytes)
  }

  onEnd(): void {}

  onSourceError(error: SourceError): void {
    this.sourceError = error
  }
}
