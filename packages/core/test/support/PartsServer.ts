/**
 * A real HTTP server on 127.0.0.1 that accepts objects whole or in parts with `Content-Range`, as resumable sessions do,
 * and keeps everything on the disk: both it and its clients can be killed.
 *
 * - `PUT /files/<key>` stores an object, atomically.
 * - With `Content-Range: bytes a-b/total` (or `/*`) the bytes are appended to an upload under way. A part at 0 begins
 *   anew; bytes that are there are skipped; a part that leaves a gap is refused. The answer is 308 with
 *   `Range: bytes=0-n`, or 201 when the object is whole. Of a part that was cut off, what arrived is kept in steps of
 *   256 KiB.
 * - An empty `PUT` with `bytes * /total` tells how far it is, and with the size of all that is there makes it the object.
 * - `DELETE` ends an upload under way and never touches an object. `GET` and `HEAD` read objects.
 * - `GET /log` tells all requests as JSON.
 *
 * To run it as a process of its own: `tsx PartsServer.ts <directory> [port]`; its first line is its address.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { pathToFileURL } from "node:url"

/** One request as it arrived. */
export interface Logged {
  readonly method: string
  readonly key: string
  readonly headers: http.IncomingHttpHeaders
  readonly contentRange: string | undefined
  /** Bytes of the body that arrived. */
  bytes: number
  /** The status of the answer; 0 before it. */
  status: number
}

/** The fault: an answer that is lost after the work, no answer at all, or only a number of bytes stored. */
export type Fault = "answerLost" | "unavailable" | { readonly persist: number }

export interface Options {
  /** Where everything is kept. Defaults to a directory of its own, which goes with the server. */
  readonly directory?: string | undefined
  /** Defaults to any that is free. */
  readonly port?: number | undefined
  /** Asked once for every request, with those before it and itself. */
  readonly fault?: ((request: Logged, log: ReadonlyArray<Logged>) => Fault | undefined) | undefined
}

export interface PartsServer {
  /** The address that keys are appended to, with a slash at its end. */
  readonly url: string
  readonly port: number
  readonly log: ReadonlyArray<Logged>
  /** How many connections were ever opened. */
  readonly connections: () => number
  /** Bytes of bodies that arrived for a key. */
  readonly bytesFor: (key: string) => number
  readonly requestsFor: (key: string) => number
  readonly object: (key: string) => Buffer | undefined
  /** The keys of objects, sorted. */
  readonly objects: () => Array<string>
  /** Uploads under way, with the bytes that they have. */
  readonly sessions: () => Array<{ readonly key: string; readonly bytes: number }>
  readonly close: () => Promise<void>
}

const step = 256 * 1024

class Store {
  private readonly directory: string

  constructor(directory: string) {
    this.directory = directory
    for (const kind of ["objects", "sessions", "keys"]) fs.mkdirSync(path.join(directory, kind), { recursive: true })
  }

  /** Names of files are hashes of keys: keys may be longer than names. */
  file(kind: "keys" | "objects" | "sessions", key: string): string {
    const name = crypto.createHash("sha256").update(key).digest("hex")
    if (kind !== "keys") fs.writeFileSync(this.file("keys", key), key)
    return path.join(this.directory, kind, name)
  }

  keys(kind: "objects" | "sessions"): Array<string> {
    return fs.readdirSync(path.join(this.directory, kind))
      .map((name) => fs.readFileSync(path.join(this.directory, "keys", name.slice(0, 64)), "utf8"))
      .sort()
  }

  read(key: string): Buffer | undefined {
    const file = this.file("objects", key)
    return fs.existsSync(file) ? fs.readFileSync(file) : undefined
  }

  /** The number of stored bytes of an upload; `undefined` if none is in progress. */
  persisted(key: string): number | undefined {
    return fs.statSync(this.file("sessions", key), { throwIfNoEntry: false })?.size
  }

  append(key: string, block: Uint8Array): void {
    fs.appendFileSync(this.file("sessions", key), block)
  }

  cut(key: string, size: number): void {
    fs.closeSync(fs.openSync(this.file("sessions", key), "a"))
    fs.truncateSync(this.file("sessions", key), size)
  }

  drop(key: string): boolean {
    if (this.persisted(key) === undefined) return false
    fs.rmSync(this.file("sessions", key))
    return true
  }

  commit(key: string): void {
    fs.renameSync(this.file("sessions", key), this.file("objects", key))
  }
}

interface Range {
  readonly from: number | undefined
  readonly to: number
  readonly total: number | undefined
}

const rangeOf = (header: string): Range | undefined => {
  const [, from, to, total] = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/.exec(header) ?? []
  if (total === undefined) return undefined
  return {
    from: from === undefined ? undefined : Number(from),
    to: Number(to ?? -1),
    total: total === "*" ? undefined : Number(total)
  }
}

/** An etag of the content. */
const etagOf = (bytes: Uint8Array): string => `"${crypto.createHash("md5").update(bytes).digest("hex")}"`

/** Serves until it is closed. */
export const start = (options: Options = {}): Promise<PartsServer> => {
  const directory = options.directory ?? fs.mkdtempSync(path.join(os.tmpdir(), "sluice-parts-"))
  const store = new Store(directory)
  const log: Array<Logged> = []
  /** The sender to an upload. A later one takes its place. */
  const senders = new Map<string, () => void>()
  let connections = 0

  const serve = (request: http.IncomingMessage, response: http.ServerResponse): unknown => {
    const { pathname } = new URL(request.url!, "http://localhost")
    if (pathname === "/log") return response.end(JSON.stringify(log))
    if (!pathname.startsWith("/files/")) return response.writeHead(404).end()
    const key = pathname.slice("/files/".length).split("/").map(decodeURIComponent).join("/")
    const { headers, method = "" } = request
    const logged: Logged = { method, key, headers, contentRange: headers["content-range"], bytes: 0, status: 0 }
    log.push(logged)
    const fault = options.fault?.(logged, log)

    const answer = (status: number, more: http.OutgoingHttpHeaders = {}, body?: Uint8Array): void => {
      if (fault === "answerLost") return void request.socket.destroy()
      logged.status = status
      response.writeHead(status, more).end(body)
    }
    const answerPersisted = () => {
      const persisted = store.persisted(key) ?? 0
      answer(308, persisted === 0 ? {} : { range: `bytes=0-${persisted - 1}` })
    }
    const commit = () => {
      store.commit(key)
      answer(201, { etag: etagOf(store.read(key)!) })
    }

    if (fault === "unavailable") {
      request.resume()
      logged.status = 503
      return response.writeHead(503).end("Not now.")
    }

    if (method === "GET" || method === "HEAD") {
      const object = store.read(key)
      if (object === undefined) return answer(404)
      return answer(
        200,
        { "content-length": object.length, etag: etagOf(object) },
        method === "GET" ? object : undefined
      )
    }
    if (method === "DELETE") {
      senders.get(key)?.()
      return answer(store.drop(key) ? 204 : 404)
    }
    if (method !== "PUT") return answer(405)
    if (headers["transfer-encoding"] !== undefined || headers["content-length"] === undefined) return answer(411)
    const size = Number(headers["content-length"])
    const range = logged.contentRange === undefined ? undefined : rangeOf(logged.contentRange)
    if (logged.contentRange !== undefined && range === undefined) return answer(400)

    if (range === undefined) {
      const blocks: Array<Buffer> = []
      request.on("data", (block: Buffer) => {
        blocks.push(block)
        logged.bytes += block.length
      })
      return request.on("close", () => {
        if (!request.complete) return
        const [file, temporary] = [store.file("objects", key), path.join(directory, `put-${log.length}`)]
        fs.writeFileSync(temporary, Buffer.concat(blocks))
        fs.renameSync(temporary, file)
        answer(201, { etag: etagOf(Buffer.concat(blocks)) })
      })
    }

    const { from, to, total } = range
    if (from === undefined) {
      if (size !== 0) return answer(400)
      request.resume()
      senders.get(key)?.()
      const persisted = store.persisted(key)
      if (total === 0 && persisted === undefined) store.cut(key, 0)
      if (total !== undefined && store.persisted(key) === total) return commit()
      if (persisted !== undefined) return answerPersisted()
      const object = store.read(key)
      return object === undefined || (total !== undefined && object.length !== total)
        ? answer(404)
        : answer(200, { etag: etagOf(object) })
    }

    if (size !== to - from + 1 || (total !== undefined && to >= total)) return answer(400)
    senders.get(key)?.()
    if (from === 0) store.cut(key, 0)
    const before = store.persisted(key)
    if (before === undefined) {
      request.resume()
      return request.on("end", () => answer(404))
    }
    if (from > before) {
      request.resume()
      return request.on("end", answerPersisted)
    }
    let skip = before - from
    let room = typeof fault === "object" ? fault.persist : Infinity
    let ended = false
    const end = (whole: boolean): void => {
      if (ended) return
      ended = true
      senders.delete(key)
      const persisted = store.persisted(key) ?? 0
      if (!whole) return store.cut(key, persisted - persisted % step)
      return persisted === total ? commit() : answerPersisted()
    }
    senders.set(key, () => {
      end(false)
      request.socket.destroy()
    })
    request.on("data", (block: Buffer) => {
      logged.bytes += block.length
      if (ended) return
      const fresh = block.subarray(Math.min(skip, block.length))
      skip -= block.length - fresh.length
      store.append(key, fresh.subarray(0, Math.min(room, fresh.length)))
      room -= Math.min(room, fresh.length)
    })
    return request.on("close", () => end(request.complete))
  }

  const server = http.createServer((request, response) => {
    request.on("error", () => {})
    response.on("error", () => {})
    serve(request, response)
  })
  server.on("connection", (socket) => {
    connections += 1
    socket.on("error", () => {})
  })

  return new Promise((resolve) =>
    server.listen(options.port ?? 0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      const logOf = (key: string) => log.filter((logged) => logged.key === key)
      resolve({
        url: `http://127.0.0.1:${port}/files/`,
        port,
        log,
        connections: () => connections,
        bytesFor: (key) => logOf(key).reduce((sum, { bytes }) => sum + bytes, 0),
        requestsFor: (key) => logOf(key).length,
        object: (key) => store.read(key),
        objects: () => store.keys("objects"),
        sessions: () => store.keys("sessions").map((key) => ({ key, bytes: store.persisted(key) ?? 0 })),
        close: () =>
          new Promise((closed) => {
            server.close(() => {
              if (options.directory === undefined) fs.rmSync(directory, { recursive: true, force: true })
              closed()
            })
            server.closeAllConnections()
          })
      })
    })
  )
}

/** Serves until the scope ends. */
export const serve = (options: Options = {}): Effect.Effect<PartsServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => start(options)),
    (server) => Effect.promise(() => server.close())
  )

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [, , directory, port] = process.argv
  const server = await start({ directory, port: Number(port ?? 0) })
  process.stdout.write(`${server.url}\n`)
}
