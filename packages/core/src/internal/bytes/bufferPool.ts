/**
 * A pool of reusable memory for bytes in transit. Buffers live outside the heap, where the garbage collector is slow to
 * free them, so a fresh block for each read would pile up far beyond what is in flight.
 *
 * There is one pool per process, since all of a process shares one memory. It never holds more than was in use at once,
 * and when nothing is in use it keeps at most {@link idleSize}.
 */

/** The most that is kept while nothing is in use, in bytes. */
const idleSize = 32 * 1024 * 1024

/** Smaller blocks are not pooled: they cost less to allocate than to account for. */
const smallest = 2 * 1024

class BufferPool {
  /** Free blocks, by size. */
  private readonly free = new Map<number, Array<Uint8Array>>()
  /** Bytes that are free, and bytes that are in use. */
  private kept = 0
  private used = 0
  /** The most bytes that were in use at once. */
  private peak = 0

  /** Takes at least `size` bytes with arbitrary content. */
  take(size: number): Uint8Array {
    const length = rounded(size)
    const found = this.free.get(length)?.pop()
    this.used += length
    this.peak = Math.max(this.peak, this.used)
    if (found === undefined) {
      this.trim(this.peak - this.used)
      return new Uint8Array(length)
    }
    this.kept -= length
    return found
  }

  /** Takes back a block that is no longer read. */
  give(block: Uint8Array): void {
    this.used -= block.length
    this.kept += block.length
    const others = this.free.get(block.length)
    if (others === undefined) this.free.set(block.length, [block])
    else others.push(block)
  }

  /** Forgets a block that may still be read. */
  drop(block: Uint8Array): void {
    this.used -= block.length
  }

  /** No uploads are running for now. */
  rest(): void {
    this.peak = this.used
    this.trim(idleSize)
  }

  /** Releases free blocks until at most `size` bytes of them are left. */
  private trim(size: number): void {
    if (this.kept <= size) return
    for (const [length, blocks] of this.free) {
      while (blocks.length > 0 && this.kept > size) {
        blocks.pop()
        this.kept -= length
      }
      if (blocks.length === 0) this.free.delete(length)
    }
  }
}

export const bufferPool = new BufferPool()

/** Whether a block of this size comes from the pool. */
export const isWorthIt = (size: number): boolean => size >= smallest

/** The memory that a body reads into, if it will be reused. */
export class BorrowedBuffers {
  private readonly taken: Array<Uint8Array> = []
  private readonly most: number

  constructor(most: number) {
    this.most = most
  }

  readonly into = (size: number): Uint8Array => {
    const oldest = this.taken.length < this.most ? undefined : this.taken.shift()!
    const block = oldest === undefined || oldest.length < size ? bufferPool.take(size) : oldest
    if (oldest !== undefined && oldest !== block) bufferPool.drop(oldest)
    this.taken.push(block)
    return block
  }

  /** No one reads any of it any more. */
  release(): void {
    while (this.taken.length > 0) bufferPool.give(this.taken.pop()!)
  }

  /** Someone may still read it. */
  drop(): void {
    while (this.taken.length > 0) bufferPool.drop(this.taken.pop()!)
  }
}

/**
 * Sizes are few, so that a block fits the next request: four between a power of two and the next, plus a little more,
 * because a read that checks whether a file has grown asks for one extra byte.
 */
const rounded = (size: number): number => {
  const step = 2 ** Math.max(12, Math.floor(Math.log2(Math.max(1, size - 1))) - 2)
  return Math.ceil((size - 1) / step) * step + 64
}
