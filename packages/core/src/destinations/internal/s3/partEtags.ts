/**
 * Finds out whether the etags of parts are their MD5s, for servers where that is not known.
 *
 * An etag that could be an MD5 but is not the part's indicates damage, or a server whose etags are something else.
 * Damage is never the same twice: if a part that is sent again gets the same etag again, that is the server's own
 * scheme, and its etags are no longer checked. If one etag was the MD5, all are.
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

  /** Whether an etag must be the MD5 of its part. */
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
