/**
 * Interim answers (1xx): RFC 9110, 15.2, requires clients to accept them whether or not they asked for them, but the
 * pool takes a `100 Continue` for the end of the connection.
 */
import type { Socket } from "node:net"

/** Removes interim answers from what is read from an HTTP socket. */
export const leaveOut = (socket: Socket): void => {
  const read = socket.read.bind(socket)
  const write = socket.write
  let awaitsHead = false
  let held: Buffer = nothing
  Object.assign(socket, {
    // Only the head of a request is written as text.
    write: (...what: Array<unknown>): unknown => {
      if (typeof what[0] === "string") awaitsHead = true
      return Reflect.apply(write, socket, what)
    },
    read: (size?: number): Buffer | null => {
      while (awaitsHead) {
        const block: Buffer | null = read()
        if (block === null) return null
        const { isHead, rest } = withoutInterim(held.length === 0 ? block : Buffer.concat([held, block]))
        awaitsHead = !isHead
        held = isHead ? nothing : rest
        if (isHead) return rest
      }
      return read(size)
    }
  })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const nothing = Buffer.alloc(0)

/** The longest interim answer, in bytes. A longer one is left to the parser, which refuses it. */
const longest = 64 * 1024

/** How much of an answer is needed to know its status. */
const statusLength = "HTTP/1.1 1".length

/**
 * The bytes after interim answers, and whether they begin the final answer; if they may still be an interim answer,
 * more bytes are needed.
 */
const withoutInterim = (bytes: Buffer): { readonly rest: Buffer; readonly isHead: boolean } => {
  let rest = bytes
  for (;;) {
    let start = 0
    // Parsers skip line ends before an answer.
    while (rest[start] === 13 || rest[start] === 10) start += 1
    const beginning = rest.toString("latin1", start, start + statusLength + 2)
    if (beginning.length < statusLength && mayBeInterim.test(beginning)) return { rest, isHead: false }
    if (!interim.test(beginning)) return { rest, isHead: true }
    const end = endOfHead(rest, start)
    if (end < 0) return { rest, isHead: rest.length > longest }
    rest = rest.subarray(end)
    if (rest.length === 0) return { rest, isHead: false }
  }
}

/** Every interim answer except 101, which would end HTTP. */
const interim = /^HTTP\/\d\.\d 1(?!01)/

const mayBeInterim = /^(?:$|H$|HT$|HTT$|HTTP$|HTTP\/(?:\d(?:\.(?:\d ?)?)?)?$)/

/** The end of the empty line after a head; less than 0 if it has not arrived. */
const endOfHead = (bytes: Buffer, start: number): number => {
  for (let at = bytes.indexOf(10, start); at >= 0; at = bytes.indexOf(10, at + 1)) {
    const next = bytes[at + 1] === 13 ? at + 2 : at + 1
    if (bytes[next] === 10) return next + 1
  }
  return -1
}
