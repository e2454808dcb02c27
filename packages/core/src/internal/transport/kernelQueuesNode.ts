/**
 * The kernel's queues of connections: bytes that were written and not yet acknowledged, and bytes that the other side
 * has not yet read, if it is on the same machine. Linux reports them in `/proc/net/tcp`; other systems do not.
 *
 * With a slow receiver they hold whole megabytes: watching only what leaves this process would show nothing for
 * minutes.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import type { Socket } from "node:net"
import { call } from "../calls/callNode.js"

/** Returns how much the kernel holds for a socket's connection; empty if it does not say. */
export type Queues = (socket: Socket) => string

/** Reads the current queues. */
export const read: Effect.Effect<Queues> = Effect.suspend(() =>
  process.platform === "linux" ? Effect.map(Effect.all(["/proc/net/tcp", "/proc/net/tcp6"].map(textOf)), parse) : untold
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const untold: Effect.Effect<Queues> = Effect.succeed(() => "")

const textOf = (file: string): Effect.Effect<string> =>
  Effect.orElseSucceed(call<string>((done) => fs.readFile(file, "latin1", done)), () => "")

const line = /^\s*\d+: ([0-9A-F]+:[0-9A-F]{4}) ([0-9A-F]+:[0-9A-F]{4}) [0-9A-F]{2} ([0-9A-F]+):([0-9A-F]+)/

const parse = (texts: ReadonlyArray<string>): Queues => {
  const queues = new Map<string, { readonly unacknowledged: string; readonly unread: string }>()
  for (const text of texts.flatMap((text) => text.split("\n"))) {
    const [, local, remote, unacknowledged, unread] = line.exec(text) ?? []
    if (local === undefined || remote === undefined || unacknowledged === undefined || unread === undefined) continue
    queues.set(`${unmapped(local)} ${unmapped(remote)}`, { unacknowledged, unread })
  }
  return ({ localAddress, localPort, remoteAddress, remotePort }) => {
    const local = hex(localAddress, localPort)
    const remote = hex(remoteAddress, remotePort)
    return `${queues.get(`${local} ${remote}`)?.unacknowledged} ${queues.get(`${remote} ${local}`)?.unread}`
  }
}

/** Unwraps IPv4 addresses from the IPv4-mapped form that IPv6 sockets report. */
const unmapped = (address: string): string => address.replace(/^0{16}(?:FFFF0000|0000FFFF)(?=.{8}:)/, "")

/** An address as the kernel writes it: in 32-bit words, in this machine's byte order. */
const hex = (address: string | undefined, port: number | undefined): string => {
  if (address === undefined || port === undefined) return ""
  const words = address.includes(":") ? wordsOfIpv6(address) : [Buffer.from(address.split(".").map(Number))]
  const text = words.map((word) => (isLittleEndian ? word.reverse() : word).toString("hex")).join("")
  return unmapped(`${text}:${port.toString(16).padStart(4, "0")}`.toUpperCase())
}

const wordsOfIpv6 = (address: string): ReadonlyArray<Buffer> => {
  const [head = "", tail] = address.replace(/%.*$/, "").split("::").map(bytesOf)
  const hex = tail === undefined ? head : head + "0".repeat(Math.max(0, 32 - head.length - tail.length)) + tail
  const bytes = Buffer.from(hex, "hex")
  return [0, 4, 8, 12].map((at) => bytes.subarray(at, at + 4))
}

/** A part of an IPv6 address, in hexadecimal; it may end in an IPv4 address. */
const bytesOf = (text: string): string =>
  text.split(":").filter((group) => group !== "").map((group) =>
    group.includes(".") ? Buffer.from(group.split(".").map(Number)).toString("hex") : group.padStart(4, "0")
  ).join("")

const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1
