/**
 * How bodies are cut into blocks, and the memory that they hold on their way.
 */
import type * as Destination from "../../Destination.js"

/** Bodies up to this size are read whole, not as a stream of blocks, if nothing prevents it. */
export const onePiece = 1024 * 1024

/** The size of blocks if the destination does not ask for a particular one. */
export const defaultBlockSize = 256 * 1024

/** The largest block that a stream reads at once, whatever size the destination asks for. */
export const largestBlock = 512 * 1024

/**
 * The number of blocks that a lending stream cycles through: one being read, one held back until another is known to
 * follow, and two that were emitted.
 */
export const lentBlocks = 4

/** The memory that a body of `size` holds on its way to a destination, in bytes. */
const held = (wholeBodies: boolean | undefined, size: number | undefined): number =>
  size !== undefined && (wholeBodies === true || size <= onePiece) ? size : lentBlocks * largestBlock

/**
 * The memory that is reserved for a body of `size`, in bytes: what it holds and half as much again, for memory that
 * waits for the garbage collector.
 */
export const memoryOf = (
  { wholeBodies }: Pick<Destination.Capabilities, "wholeBodies">,
  size: number | undefined
): number => Math.ceil(1.5 * held(wholeBodies, size))
