/**
 * The digests of files by the digests of their keys, 20 bytes a slot: a million of them fit where a `Map` of strings
 * would take 200 MB. A digest is 24 characters of base64url: 8 for the key, 10 for the file, and 6 for its etag, which
 * are all `A` if it has none.
 */
export class DigestTable {
  private keys = new Float64Array(smallest)
  private files = new Uint32Array(smallest * 3)
  private count = 0

  get size(): number {
    return this.count
  }

  clear(): void {
    this.keys = new Float64Array(smallest)
    this.files = new Uint32Array(smallest * 3)
    this.count = 0
  }

  /** Stores a digest, replacing the one for its key. */
  set(digest: string): void {
    if (this.count >= this.keys.length * fullest) this.grow()
    const slot = this.slotOf(keyOf(digest))
    if (this.keys[slot] === 0) this.count++
    this.keys[slot] = keyOf(digest)
    for (let word = 0; word < 3; word++) this.files[slot * 3 + word] = wordOf(digest, word)
  }

  /** Whether there is a digest for the key, of this file or another. */
  hasKey(digest: string): boolean {
    return this.count > 0 && this.keys[this.slotOf(keyOf(digest))] !== 0
  }

  /** Whether exactly this digest is stored. */
  has(digest: string): boolean {
    return this.etagOf(digest) === wordOf(digest, 2)
  }

  /** Whether the file of this digest is stored, with the same etag or an unknown one. */
  hasFile(digest: string): boolean {
    const known = this.etagOf(digest)
    const asked = wordOf(digest, 2)
    return known !== undefined && (known === 0 || asked === 0 || known === asked)
  }

  /** The stored etag for the file of this digest, or 0 for none; `undefined` if the file is not stored. */
  private etagOf(digest: string): number | undefined {
    if (this.count === 0) return undefined
    const slot = this.slotOf(keyOf(digest))
    return this.keys[slot] !== 0 &&
        this.files[slot * 3] === wordOf(digest, 0) &&
        this.files[slot * 3 + 1] === wordOf(digest, 1)
      ? this.files[slot * 3 + 2]
      : undefined
  }

  /**
   * The slot of a key, or the slot for it. Digests are evenly distributed, so their remainder is the first slot to try.
   */
  private slotOf(key: number): number {
    let slot = key % this.keys.length
    while (this.keys[slot] !== 0 && this.keys[slot] !== key) slot = slot + 1 === this.keys.length ? 0 : slot + 1
    return slot
  }

  private grow(): void {
    const { files, keys } = this
    this.keys = new Float64Array(Math.ceil(keys.length * 1.6))
    this.files = new Uint32Array(this.keys.length * 3)
    keys.forEach((key, from) => {
      if (key === 0) return
      const slot = this.slotOf(key)
      this.keys[slot] = key
      this.files.set(files.subarray(from * 3, from * 3 + 3), slot * 3)
    })
  }
}

const smallest = 64

const fullest = 0.75

const sextets = (() => {
  const values = new Uint8Array(128)
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  for (let value = 0; value < 64; value++) values[alphabet.charCodeAt(value)] = value
  return values
})()

const sextet = (digest: string, at: number): number => sextets[digest.charCodeAt(at)] ?? 0

/** 24 bits from 4 characters. */
const group = (digest: string, at: number): number =>
  sextet(digest, at) << 18 | sextet(digest, at + 1) << 12 | sextet(digest, at + 2) << 6 | sextet(digest, at + 3)

/** 48 bits, from 1: an empty slot holds 0. */
const keyOf = (digest: string): number => group(digest, 0) * 2 ** 24 + group(digest, 4) + 1

/** Two words of 30 bits for the file, and one for the etag, of whose 36 bits it takes the last 32. */
const wordOf = (digest: string, word: number): number => {
  const at = 8 + word * 5
  return word < 2
    ? group(digest, at) << 6 | sextet(digest, at + 4)
    : (group(digest, at) << 12 | sextet(digest, at + 4) << 6 | sextet(digest, at + 5)) >>> 0
}
