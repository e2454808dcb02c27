/**
 * Whether the etags of parts are their MD5s, at servers of which nobody knows.
 *
 * An etag that could be an MD5 and is another one tells of damage, or of a server with other etags. Damage is never the
 * same twice: where a part that comes again gets the same etag again, it is the server's own way, and nothing is
 * concluded from its etags any more. Where one was the MD5, all are.
 */
import type { Body } from "../../../Destination.js"
import * as Etag from "../../../internal/values/etag.js"
import type { Profile } from "./provider.js"
import * as Signer from "./signer.js"

export class PartEtags {
  private known: boolean | undefined
  /** The etags that were not the MD5s of their parts, by part. */
  private readonly odd = new Map<string, string>()

  constructor({ partEtagIsMd5 }: Profile) {
    this.known = partEtagIsMd5
  }

  /** Whether an etag has to be the MD5 of the part that it was given to. */
  areMd5(etag: string | undefined, body: Body, part: string): boolean {
    if (this.known !== undefined) return this.known
    const found = Etag.md5Of(etag)
    if (found === undefined || body.checksum?.algorithm !== "md5") return false
    if (Signer.hexOf(body.checksum) === found) {
      this.known = true
      this.odd.clear()
    } else if (this.odd.get(part) === found) {
      this.known = false
      this.odd.clear()
    } else this.odd.set(part, found)
    return this.known ?? true
  }
}
