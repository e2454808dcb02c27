/**
 * Memory for bytes on their way, used again and again: bytes are not on the heap, where the garbage collector would come
 * to them in time, and a fresh block for each read would pile up far beyond what is in flight.
 *
 * There is one store in a process, since there is one memory. It never has more than was in use at once, and when
 * nothing is in use it keeps at most {@link idleSize}.
 */

/** How much is kept while nothing is in use, in bytes. */
const idleSize = 32 * 1024 * 1024

/** What is smaller is not worth keeping: it costs less to allocate than to account for. */
const smallest = 2 * 1024

class BufferPool {
  /** What is free, by its size. */
  private readonly free = new Map<number, Array<Uint8Array>>()
  /** Bytes that are free, and that are in use. */
  private kept = 0
  private used = 0
  /** The most that were in use at once. */
  private peak = 0

  /** At least `size` bytes, of any content. */
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

  /** Takes a block back that nobody reads any more. */
  give(block: Uint8Array): void {
    this.used -= block.length
    this.kept += block.length
    const others = this.free.get(block.length)
    if (others === undefined) this.free.set(block.length, [block])
    else others.push(block)
  }

  /** Forgets a block that somebody may still read. */
  drop(block: Uint8Array): void {
    this.used -= block.length
  }

  /** Nobody uploads any more, for now. */
  rest(): void {
    this.peak = this.used
    this.trim(idleSize)
  }

  /** Lets go of what is free until there is no more than `size` of it. */
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

/** Whether so many bytes come from the store. */
export const isWorthIt = (size: number): boolean => size >= smallest

/**
 * Sizes are few, so that a block fits the next who asks: four between a power of two and the next, and a little more, as
 * who wants to see whether a file has grown asks for one byte more than it had.
 */
const rounded = (size: number): number => {
  const step = 2 ** Math.max(12, Math.floor(Math.log2(Math.max(1, size - 1))) - 2)
  return Math.ceil((size - 1) / step) * step + 64
}
