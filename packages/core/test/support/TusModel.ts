/**
 * A tus 1.0.0 server in memory, strict to the protocol: a function of requests, with all extensions that there are, and
 * with faults where a test asks for them. And a transport to it, which needs no network.
 */
import { Transport, UploadError } from "@sluice/core"
import { Effect, Layer, Stream } from "effect"
import * as crypto from "node:crypto"
import { collect } from "./TestBody.js"

export interface Request {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

/**
 * What goes wrong: a request that never arrives, one of which only so many bytes do, one that is never answered (which
 * is told), one of which the server keeps only so many bytes and says so, an answer that is lost, an answer in place of
 * the server's, or the server's own but altered.
 */
export type Fault =
  | "unreached"
  | "answerLost"
  | { readonly persist: number }
  | { readonly keep: number }
  | { readonly hang: Effect.Effect<unknown> }
  | { readonly answer: Answer }
  | { readonly alter: (answer: Answer) => Answer }

export interface Options {
  /** Defaults to all but `concatenation` and `checksum`. */
  readonly extensions?: ReadonlyArray<string> | undefined
  readonly maxSize?: number | undefined
  /** Defaults to sha1, sha256 and md5. */
  readonly checksums?: ReadonlyArray<string> | undefined
  readonly versions?: string | undefined
  /** The `Location` for a path. Defaults to the path. */
  readonly locate?: ((path: string) => string | undefined) | undefined
  /** Asked once for every request. `nth` counts those of its method, from 1. */
  readonly fault?: ((request: Request, nth: number) => Fault | undefined) | undefined
}

interface Upload {
  length: number | undefined
  bytes: Buffer
  readonly metadata: string | undefined
  readonly concat: string | undefined
}

export const all = [
  "creation",
  "creation-with-upload",
  "creation-defer-length",
  "termination",
  "expiration",
  "checksum",
  "concatenation"
]

export const withoutConcatenation = all.filter((name) => name !== "concatenation" && name !== "checksum")

const endpoint = "/files/"

/** When uploads expire, as the server says it. */
const expires = "Wed, 25 Nov 2026 16:00:00 GMT"

export class Model {
  readonly uploads = new Map<string, Upload>()
  /** Every request with its answer, in one line each. */
  readonly log: Array<string> = []
  readonly requests: Array<Request> = []
  private readonly options: Options
  private readonly counts = new Map<string, number>()
  private number = 0

  constructor(options: Options = {}) {
    this.options = options
  }

  get extensions(): ReadonlyArray<string> {
    return this.options.extensions ?? withoutConcatenation
  }

  /** What goes wrong with a request, which is counted by this. */
  faultOf(request: Request): Fault | undefined {
    const nth = (this.counts.get(request.method) ?? 0) + 1
    this.counts.set(request.method, nth)
    return this.options.fault?.(request, nth)
  }

  /** The bytes of all uploads that are whole and no parts, by what their metadata call them. */
  whole(keyName = "filename"): ReadonlyMap<string, Uint8Array> {
    const found = new Map<string, Uint8Array>()
    for (const { bytes, concat, length, metadata } of this.uploads.values()) {
      const key = metadataOf(metadata ?? "")?.get(keyName)
      if (key !== undefined && concat !== "partial" && bytes.length === length) found.set(key, bytes)
    }
    return found
  }

  note(request: Request, outcome: number | string): void {
    const told = Object.entries(request.headers)
      .filter(([name]) => name.startsWith("upload-") && name !== "upload-metadata")
      .map(([name, value]) => ` ${name.slice("upload-".length)}=${value}`)
      .sort()
    const size = request.body.length === 0 ? "" : ` ${request.body.length} B`
    this.requests.push(request)
    this.log.push(`${request.method} ${request.path}${told.join("")}${size}: ${outcome}`)
  }

  handle(request: Request): Answer {
    const answer = this.answer(request)
    return request.method === "OPTIONS"
      ? answer
      : { ...answer, headers: { "tus-resumable": "1.0.0", ...answer.headers } }
  }

  /** Stores what has arrived of a request that broke. */
  broken(request: Request, persisted: number): void {
    if (request.headers["upload-checksum"] !== undefined) return
    const bytes = request.body.subarray(0, persisted)
    const upload = this.uploads.get(request.path)
    if (request.method !== "PATCH" || upload?.bytes.length !== Number(request.headers["upload-offset"])) return
    upload.bytes = Buffer.concat([upload.bytes, bytes])
  }

  private answer(request: Request): Answer {
    const { headers, method, path } = request
    const versions = this.options.versions ?? "1.0.0"
    if (method === "OPTIONS") {
      return {
        status: 204,
        headers: {
          "tus-resumable": "1.0.0",
          "tus-version": versions,
          ...(this.extensions.length > 0 && { "tus-extension": this.extensions.join(",") }),
          ...(this.options.maxSize !== undefined && { "tus-max-size": String(this.options.maxSize) }),
          ...(this.has("checksum") && { "tus-checksum-algorithm": this.checksums.join(",") })
        }
      }
    }
    if (!versions.split(",").includes(headers["tus-resumable"] ?? "")) {
      return { status: 412, headers: { "tus-version": versions } }
    }
    if (method === "POST") return path === endpoint ? this.create(request) : plain(404)
    const upload = this.uploads.get(path)
    if (upload === undefined) return plain(404, `There is no ${path}.`)
    if (method === "HEAD") return this.look(upload)
    if (method === "PATCH") return this.append(upload, request)
    if (method === "DELETE" && this.has("termination")) {
      this.uploads.delete(path)
      return plain(204)
    }
    return plain(405)
  }

  private has(extension: string): boolean {
    return this.extensions.includes(extension)
  }

  private get checksums(): ReadonlyArray<string> {
    return this.options.checksums ?? ["sha1", "sha256", "md5"]
  }

  private create({ body, headers }: Request): Answer {
    const { "upload-concat": concat, "upload-length": length, "upload-metadata": metadata } = headers
    if (!this.has("creation")) return plain(405)
    if (metadata !== undefined && metadataOf(metadata) === undefined) return plain(400, "bad Upload-Metadata")
    if (concat !== undefined && !this.has("concatenation")) return plain(501)
    if (concat?.startsWith("final;")) return this.concatenate(headers, concat)
    if (concat !== undefined && concat !== "partial") return plain(400, "bad Upload-Concat")
    const deferred = headers["upload-defer-length"]
    if ((length === undefined) === (deferred === undefined)) return plain(400, "one of Upload-Length and -Defer-Length")
    if (deferred !== undefined && (deferred !== "1" || !this.has("creation-defer-length"))) return plain(400)
    if (length !== undefined && !/^\d+$/.test(length)) return plain(400, "bad Upload-Length")
    if (Number(length ?? 0) > (this.options.maxSize ?? Infinity)) return plain(413)
    const upload = {
      length: length === undefined ? undefined : Number(length),
      bytes: Buffer.alloc(0),
      metadata,
      concat
    }
    const told: Record<string, string> = {}
    if (headers["content-type"] !== undefined) {
      if (headers["content-type"] !== "application/offset+octet-stream") return plain(415)
      if (this.has("creation-with-upload")) {
        const problem = this.take(upload, headers, body)
        if (problem !== undefined) return problem
        told["upload-offset"] = String(upload.bytes.length)
      }
    }
    return this.created(upload, told)
  }

  private concatenate(headers: Request["headers"], concat: string): Answer {
    if (headers["upload-length"] !== undefined) return plain(400, "a final upload has no Upload-Length")
    const paths = concat.slice("final;".length).split(" ")
    const parts = paths.map((path) => this.uploads.get(path))
    if (parts.some((part) => part?.concat !== "partial")) return plain(400, "no such partial upload")
    if (parts.some((part) => part?.length !== part?.bytes.length)) return plain(400, "a partial upload is not finished")
    const bytes = Buffer.concat(parts.flatMap((part) => part === undefined ? [] : [part.bytes]))
    if (bytes.length > (this.options.maxSize ?? Infinity)) return plain(413)
    return this.created({ length: bytes.length, bytes, metadata: headers["upload-metadata"], concat }, {})
  }

  private created(upload: Upload, headers: Record<string, string>): Answer {
    this.number += 1
    const path = `${endpoint}${this.number}`
    this.uploads.set(path, upload)
    const location = (this.options.locate ?? ((same: string) => same))(path)
    return { status: 201, headers: { ...headers, ...(location !== undefined && { location }) } }
  }

  private look({ bytes, concat, length, metadata }: Upload): Answer {
    return {
      status: 200,
      headers: {
        "cache-control": "no-store",
        "upload-offset": String(bytes.length),
        ...(length === undefined ? { "upload-defer-length": "1" } : { "upload-length": String(length) }),
        ...(metadata !== undefined && { "upload-metadata": metadata }),
        ...(concat !== undefined && { "upload-concat": concat })
      }
    }
  }

  private append(upload: Upload, { body, headers }: Request): Answer {
    const { "upload-length": length, "upload-offset": offset } = headers
    if (upload.concat?.startsWith("final;")) return plain(403)
    if (headers["content-type"] !== "application/offset+octet-stream") return plain(415)
    if (offset === undefined || !/^\d+$/.test(offset)) return plain(400, "no Upload-Offset")
    if (Number(offset) !== upload.bytes.length) return plain(409)
    if (length !== undefined) {
      if (upload.length !== undefined || Number(length) < upload.bytes.length) return plain(400, "bad Upload-Length")
      upload.length = Number(length)
    }
    const problem = this.take(upload, headers, body)
    return problem ?? {
      status: 204,
      headers: {
        "upload-offset": String(upload.bytes.length),
        ...(this.has("expiration") && upload.length !== upload.bytes.length && { "upload-expires": expires })
      }
    }
  }

  private take(upload: Upload, headers: Request["headers"], body: Uint8Array): Answer | undefined {
    const checksum = headers["upload-checksum"]
    if (checksum !== undefined) {
      const [algorithm = "", value] = checksum.split(" ")
      if (!this.has("checksum") || !this.checksums.includes(algorithm)) return plain(400, "unknown algorithm")
      if (crypto.createHash(algorithm).update(body).digest("base64") !== value) return plain(460)
    }
    if (upload.bytes.length + body.length > (upload.length ?? Infinity)) return plain(413)
    upload.bytes = Buffer.concat([upload.bytes, body])
    return undefined
  }
}

const plain = (status: number, body?: string): Answer => ({ status, headers: {}, body })

/** The parsed `Upload-Metadata`; `undefined` if it is not well-formed. */
export const metadataOf = (header: string): ReadonlyMap<string, string> | undefined => {
  const found = new Map<string, string>()
  for (const pair of header.split(",")) {
    const [, name, value = ""] = /^([\x21-\x2b\x2d-\x7e]+)(?: ([A-Za-z0-9+/]+={0,2}))?$/.exec(pair) ?? []
    if (name === undefined || found.has(name) || value.length % 4 !== 0) return undefined
    found.set(name, Buffer.from(value, "base64").toString())
  }
  return found
}

export const origin = "https://tus.example.org"

export const url = `${origin}${endpoint}`

/** The failure of a transport, which names the address that it sent to. */
const broken = (address: string) =>
  new UploadError.Transient({
    reason: "Connection",
    detail: `The connection to ${Transport.renderUrl(address)} broke.`
  })

const bytesOf = (body: Transport.Request["body"]): Effect.Effect<Uint8Array, UploadError.UploadError> =>
  body === undefined
    ? Effect.succeed(new Uint8Array(0))
    : body instanceof Uint8Array
    ? Effect.succeed(body)
    : body.inOnePiece || body.size === 0
    ? body.bytes
    : collect(body.stream())

/** A request as a server takes it that has seen all of it, and keeps no more than so many bytes. */
const keeping = (request: Request, bytes: number): Request => {
  const { "upload-checksum": _, ...headers } = request.headers
  return { ...request, headers, body: request.body.subarray(0, bytes) }
}

/** A transport to a server in memory. */
export const transport = (model: Model): Transport.Transport["Type"] => {
  const send = (asked: Transport.Request): Effect.Effect<Transport.Answer, UploadError.UploadError> =>
    Effect.flatMap(bytesOf(asked.body), (bytes) =>
      Effect.suspend(() => {
        const { headers, method } = asked
        const { origin: host, pathname, search } = new URL(asked.url)
        const request: Request = { method, path: pathname + search, headers, body: bytes.slice() }
        if (host !== origin) return Effect.dieMessage(`a request to ${host}`)
        const fault = model.faultOf(request)
        const cut = (what: string) => {
          model.note(request, what)
          return Effect.fail(broken(asked.url))
        }
        if (fault === "unreached") return cut("unreached")
        if (typeof fault === "object" && "persist" in fault) {
          model.broken(request, fault.persist)
          return cut(`broken after ${fault.persist}`)
        }
        if (typeof fault === "object" && "hang" in fault) {
          model.note(request, "hangs")
          return Effect.zipRight(fault.hang, Effect.never)
        }
        const kept = typeof fault === "object" && "keep" in fault ? keeping(request, fault.keep) : request
        const real = typeof fault === "object" && "answer" in fault ? fault.answer : model.handle(kept)
        if (fault === "answerLost") return cut(`${real.status} lost`)
        const answer = typeof fault === "object" && "alter" in fault ? fault.alter(real) : real
        model.note(request, answer.status)
        return Effect.succeed({
          status: answer.status,
          headers: answer.headers,
          body: new TextEncoder().encode(method === "HEAD" ? "" : answer.body ?? "")
        })
      }))
  return {
    send,
    open: (request) =>
      Effect.map(send(request), ({ body, headers, status }) => ({ status, headers, stream: Stream.succeed(body) }))
  }
}

export const layer = (model: Model): Layer.Layer<Transport.Transport> =>
  Layer.succeed(Transport.Transport, transport(model))
