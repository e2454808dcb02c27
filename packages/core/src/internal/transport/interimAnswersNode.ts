/**
 * Answers that come before the answer (1xx): RFC 9110, 15.2, has them accepted whether or not they were asked for, and
 * the pool takes a `100 Continue` for the end of the connection.
 */
import type { Socket } from "node:net"

/** Leaves interim answers out of what is read from a socket on which HTTP is spoken. */
export const leaveOut = (socket: Socket): void => {
  const read = socket.read.bind(socket)
  const write = socket.write
  let awaitsHead = false
  let held: Buffer = nothing
  Object.assign(socket, {
    // The head of a request is written as text, and nothing else is.
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

/** How long an interim answer may be, in bytes. One that is longer is left to the parser, which refuses it. */
const longest = 64 * 1024

/** How much of an answer tells its status. */
const statusLength = "HTTP/1.1 1".length

/**
 * What is left behind interim answers, and whether that begins the answer itself; where it may be one of them, more of it
 * is needed.
 */
const withoutInterim = (bytes: Buffer): { readonly rest: Buffer; readonly isHead: boolean } => {
  let rest = bytes
  for (;;) {
    let start = 0
    // Parsers pass over line ends before an answer.
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

/** Every interim answer but 101, which would be the end of HTTP. */
const interim = /^HTTP\/\d\.\d 1(?!01)/

const mayBeInterim = /^(?:$|H$|HT$|HTT$|HTTP$|HTTP\/(?:\d(?:\.(?:\d ?)?)?)?$)/

/** Where the empty line behind a head ends; less than 0 where that is still to come. */
const endOfHead = (bytes: Buffer, start: number): number => {
  for (let at = bytes.indexOf(10, start); at >= 0; at = bytes.indexOf(10, at + 1)) {
    const next = bytes[at + 1] === 13 ? at + 2 : at + 1
    if (bytes[next] === 10) return next + 1
  }
  return -1
}
