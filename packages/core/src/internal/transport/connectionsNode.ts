/**
 * The connections of a pool, one client each: which socket a request uses, and how far its bytes have come.
 */
import type { Socket } from "node:net"
import { buildConnector, Client, Pool } from "undici"
import type { Dispatcher } from "undici"
import * as InterimAnswers from "./interimAnswersNode.js"
import type * as KernelQueues from "./kernelQueuesNode.js"

export type Connect = buildConnector.connector

/** The observer that learns which connection a request uses. */
export interface Rider {
  readonly takes: (line: Connection) => void
}

/** A request with its observer. */
export interface Dispatched extends Dispatcher.DispatchOptions {
  readonly rider?: Rider | undefined
}

/** A connection, and its replacements. */
export class Connection extends Client {
  private readonly wire: Wire

  constructor(origin: string | URL, options: Client.Options, wire: Wire) {
    super(origin, { ...options, connect: wire.connect })
    this.wire = wire
  }

  /** The progress of the current request: bytes written, and bytes received from the server. */
  position(queues: KernelQueues.Queues): string {
    const { socket } = this.wire
    return socket === undefined
      ? ""
      : `${socket.bytesWritten - socket.writableLength} ${socket.bytesRead} ${queues(socket)}`
  }

  override dispatch(options: Dispatched, handler: Dispatcher.DispatchHandler): boolean {
    options.rider?.takes(this)
    return super.dispatch(options, handler)
  }
}

/** A pool of connections. */
export const pool = (
  origin: string | URL,
  { connect, ...options }: Pool.Options & { readonly connect: Connect }
): Pool =>
  new Pool(origin, {
    ...options,
    connect,
    factory: (origin, given: Client.Options) => new Connection(origin, given, new Wire(connect))
  })

/** A way to connect, with limits and authorities. */
export const connector = (options: buildConnector.BuildOptions): Connect => buildConnector(options)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The current socket of a connection. */
class Wire {
  socket: Socket | undefined = undefined
  readonly connect: Connect

  constructor(connect: Connect) {
    this.connect = (options, callback) =>
      connect(options, (...outcome) => {
        if (outcome[0] === null) {
          const [, socket] = outcome
          InterimAnswers.leaveOut(socket)
          this.socket = socket
          socket.once("close", () => {
            if (this.socket === socket) this.socket = undefined
          })
        }
        callback(...outcome)
      })
  }
}
