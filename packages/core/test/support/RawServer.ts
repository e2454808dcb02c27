/**
 * Servers of bare sockets, for what no real server would say.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as net from "node:net"
import type { AddressInfo, Socket } from "node:net"

export interface RawServer {
  readonly port: number
  readonly url: string
  /** How many connections there have been. */
  readonly connections: () => number
  /** Succeeds when as many connections have been closed. */
  readonly closed: (count: number) => Effect.Effect<void>
}

/** A server on 127.0.0.1, whose sockets are closed with the scope. */
export const make = (
  onSocket: (socket: Socket, index: number) => void,
  options: net.ServerOpts = {}
): Effect.Effect<RawServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: net.Server; readonly open: Set<Socket>; readonly raw: RawServer }>((resume) => {
      const open = new Set<Socket>()
      let connections = 0
      let closed = 0
      let waiting: Array<() => void> = []
      const closedAfter = (count: number) =>
        Effect.async<void>((woken) => {
          const look = () => {
            if (closed < count) return
            waiting = waiting.filter((wake) => wake !== look)
            woken(Effect.void)
          }
          waiting.push(look)
          look()
        })
      const server = net.createServer(options, (socket) => {
        connections += 1
        open.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => {
          open.delete(socket)
          closed += 1
          for (const wake of waiting) wake()
        })
        onSocket(socket, connections)
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        const raw = { port, url: `http://127.0.0.1:${port}`, connections: () => connections, closed: closedAfter }
        resume(Effect.succeed({ server, open, raw }))
      })
    }),
    ({ open, server }) =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of open) socket.destroy()
      })
  ).pipe(Effect.map(({ raw }) => raw))

/** Answers each request on a socket when it is whole, and keeps what was sent. */
export const answering =
  (seen: Array<string>, answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") => (socket: Socket) => {
    let text = ""
    socket.on("data", (block: Buffer) => {
      text += block.toString("latin1")
      const end = text.indexOf("\r\n\r\n")
      if (end < 0) return
      const length = Number(/content-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0)
      if (text.length < end + 4 + length) return
      seen.push(text.slice(0, end + 4 + length))
      text = text.slice(end + 4 + length)
      socket.write(answer)
    })
  }

/** A request as it came. */
export interface Heard {
  readonly head: string
  readonly body: Buffer
}

/** Hears requests on a socket: of each, first its head, and then all of it. */
export const hear = (
  socket: Socket,
  on: { readonly head?: (head: string) => void; readonly request: (request: Heard) => void }
): void => {
  let bytes = Buffer.alloc(0)
  let head: string | undefined = undefined
  socket.on("data", (block: Buffer) => {
    bytes = Buffer.concat([bytes, block])
    for (;;) {
      if (head === undefined) {
        const end = bytes.indexOf("\r\n\r\n")
        if (end < 0) return
        head = bytes.toString("latin1", 0, end)
        bytes = bytes.subarray(end + 4)
        on.head?.(head)
      }
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
      if (bytes.length < length) return
      const request = { head, body: Buffer.from(bytes.subarray(0, length)) }
      bytes = bytes.subarray(length)
      head = undefined
      on.request(request)
    }
  })
}
