import { Effect } from "effect"
import type { Scope } from "effect"
import * as crypto from "node:crypto"
import * as http from "node:http"
import * as zlib from "node:zlib"
import { listening } from "./Listening.js"

/** An object that is stored. */
export interface StoredObject {
  readonly body: Buffer
  readonly headers: http.IncomingHttpHeaders
}

export interface S3Server {
  readonly url: string
  /** The stored objects, by bucket and key: `bkt/a/b.txt`. */
  readonly stored: Map<string, StoredObject>
  /** Uploads in parts that were begun and neither completed nor aborted, by id. */
  readonly unfinished: Map<string, { readonly path: string; readonly parts: Map<number, Buffer> }>
  /** What came in, such as `PUT bkt/a.txt`, with the query's names. */
  readonly requests: Array<string>
}

export interface Options {
  /** The bucket that there is. Defaults to `bkt`. */
  readonly bucket?: string | undefined
  /** An error to answer with instead, for a method and a path with its query. */
  readonly refuse?:
    | ((method: string, path: string) => { readonly status: number; readonly code: string } | undefined)
    | undefined
  /** How far the server's clock is ahead, in milliseconds. */
  readonly ahead?: number | undefined
  /** Whether it takes whatever checksum comes. Defaults to `false`. */
  readonly careless?: boolean | undefined
  /** Headers of every answer. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * A server that speaks as much of S3 as uploads need, in memory. Requests have to be signed in the form of version 4,
 * by `AKCLI`, with a true length, and with an MD5 or a CRC-32 that is right.
 */
export const start = (options: Options = {}): Effect.Effect<S3Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    const stored = new Map<string, StoredObject>()
    const unfinished = new Map<string, { readonly path: string; readonly parts: Map<number, Buffer> }>()
    const requests: Array<string> = []
    const bucket = options.bucket ?? "bkt"
    let begun = 0

    const handle = (request: http.IncomingMessage, body: Buffer): Answer => {
      const { headers, method = "" } = request
      const url = new URL(request.url ?? "", "http://host")
      const path = decodeURIComponent(url.pathname.slice(1))
      const query = url.searchParams
      requests.push([method, path, ...query.keys()].join(" "))
      const refused = options.refuse?.(method, `${path}${url.search}`)
      if (refused !== undefined) return error(refused.status, refused.code)
      const problem = problemWith(headers, body, options.careless ?? false)
      if (problem !== undefined) return problem
      if (path.split("/")[0] !== bucket) return error(404, "NoSuchBucket")
      const session = unfinished.get(query.get("uploadId") ?? "")
      if (query.has("uploadId") && session?.path !== path) return error(404, "NoSuchUpload")
      const object = stored.get(path)
      switch (`${method} ${query.has("uploads") ? "uploads" : session !== undefined ? "session" : "object"}`) {
        case "POST uploads": {
          const id = `upload-${begun++}`
          unfinished.set(id, { path, parts: new Map() })
          return xml("InitiateMultipartUploadResult", `<UploadId>${id}</UploadId>`)
        }
        case "PUT session":
          session?.parts.set(Number(query.get("partNumber")), body)
          return { status: 200, headers: { etag: etagOf(body), ...echo(headers) } }
        case "GET session":
          return xml(
            "ListPartsResult",
            Array.from(session?.parts ?? [], ([number, part]) =>
              `<Part><PartNumber>${number}</PartNumber><Size>${part.length}</Size><ETag>${etagOf(part)}</ETag></Part>`)
              .join("")
          )
        case "POST session": {
          const named = Array.from(body.toString().matchAll(/<PartNumber>(\d+)</g), ([, number]) =>
            Number(number))
          const whole = Buffer.concat(named.map((number) =>
            session?.parts.get(number) ?? Buffer.alloc(0)
          ))
          stored.set(path, { body: whole, headers })
          unfinished.delete(query.get("uploadId") ?? "")
          return xml("CompleteMultipartUploadResult", `<ETag>"whole-${named.length}"</ETag>`)
        }
        case "DELETE session":
          unfinished.delete(query.get("uploadId") ?? "")
          return { status: 204 }
        case "PUT object":
          if (headers["if-none-match"] === "*" && object !== undefined) return error(412, "PreconditionFailed")
          stored.set(path, { body, headers })
          return { status: 200, headers: { etag: etagOf(body), ...echo(headers) } }
        case "DELETE object":
          stored.delete(path)
          return { status: 204 }
        default: {
          if (path === bucket || path === `${bucket}/`) {
            const prefix = `${bucket}/${query.get("prefix") ?? ""}`
            const all = [...stored].filter(([key]) => key.startsWith(prefix))
            return xml(
              "ListBucketResult",
              all.map(([key, { body }]) =>
                `<Contents><Key>${encodeURIComponent(key.slice(bucket.length + 1))}</Key><Size>${body.length}</Size>` +
                `<ETag>${etagOf(body)}</ETag></Contents>`
              ).join("") + "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
            )
          }
          if (object === undefined) return error(404, "NoSuchKey")
          const meta = Object.entries(object.headers).flatMap(([name, value]) =>
            name.startsWith("x-amz-meta-") && typeof value === "string" ? [[name, value]] : []
          )
          return {
            status: 200,
            headers: { etag: etagOf(object.body), ...Object.fromEntries(meta) },
            body: object.body
          }
        }
      }
    }

    const server = http.createServer((request, response) => {
      const blocks: Array<Buffer> = []
      request.on("data", (block: Buffer) => blocks.push(block))
      request.on("end", () => {
        const answer = handle(request, Buffer.concat(blocks))
        const body = answer.body ?? Buffer.alloc(0)
        response.writeHead(answer.status, {
          "content-length": body.length,
          date: new Date(Date.now() + (options.ahead ?? 0)).toUTCString(),
          ...options.headers,
          ...answer.headers
        })
        response.end(request.method === "HEAD" ? undefined : body)
      })
    })
    const port = yield* listening(server)
    return { url: `http://127.0.0.1:${port}`, stored, unfinished, requests }
  })

/** The environment of who may ask, with nothing else of AWS that the machine may have. */
export const environment: Record<string, string> = {
  AWS_ACCESS_KEY_ID: "AKCLI",
  AWS_SECRET_ACCESS_KEY: "secret-of-the-tests",
  AWS_SESSION_TOKEN: "",
  AWS_REGION: "eu-test-1",
  AWS_PROFILE: "",
  AWS_ENDPOINT_URL: "",
  AWS_ENDPOINT_URL_S3: "",
  AWS_CA_BUNDLE: "",
  AWS_EC2_METADATA_DISABLED: "true",
  AWS_CONFIG_FILE: "/nonexistent/config",
  AWS_SHARED_CREDENTIALS_FILE: "/nonexistent/credentials"
}

interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
}

const error = (status: number, code: string): Answer => ({
  status,
  body: Buffer.from(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>Said by the test.</Message></Error>`)
})

const xml = (root: string, content: string): Answer => ({
  status: 200,
  body: Buffer.from(`<?xml version="1.0"?><${root}>${content}</${root}>`)
})

const hash = (algorithm: string, body: Buffer, encoding: "base64" | "hex") =>
  crypto.createHash(algorithm).update(body).digest(encoding)

const etagOf = (body: Buffer) => `"${hash("md5", body, "hex")}"`

const crcOf = (body: Buffer) => {
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return sum.toString("base64")
}

const crc32 = (body: Buffer): number => {
  // The trailer of gzip has the sum; zlib.crc32 is not in Node 20.
  const zipped = zlib.gzipSync(body, { level: 0 })
  return zipped.readUInt32LE(zipped.length - 8)
}

const echo = (headers: http.IncomingHttpHeaders): Record<string, string> => {
  const sum = headers["x-amz-checksum-crc32"]
  return typeof sum === "string" ? { "x-amz-checksum-crc32": sum } : {}
}

const authorization =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/[a-z0-9-]+\/s3\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=[0-9a-f]{64}$/

const problemWith = (headers: http.IncomingHttpHeaders, body: Buffer, careless: boolean): Answer | undefined => {
  const [, accessKeyId, day, signed = ""] = authorization.exec(headers.authorization ?? "") ?? []
  if (accessKeyId === undefined) return error(403, "AccessDenied")
  if (accessKeyId !== "AKCLI") return error(403, "InvalidAccessKeyId")
  const date = headers["x-amz-date"]
  if (typeof date !== "string" || !date.startsWith(`${day}T`)) return error(403, "SignatureDoesNotMatch")
  const missing = Object.keys(headers).filter((name) =>
    (name.startsWith("x-amz-") || name === "host") && !signed.split(";").includes(name)
  )
  if (missing.length > 0) return error(403, "AccessDenied")
  const digest = headers["x-amz-content-sha256"]
  if (digest !== "UNSIGNED-PAYLOAD" && digest !== hash("sha256", body, "hex")) {
    return error(400, "XAmzContentSHA256Mismatch")
  }
  if (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== body.length) {
    return error(411, "MissingContentLength")
  }
  if (careless) return undefined
  const md5 = headers["content-md5"]
  const crc = headers["x-amz-checksum-crc32"]
  if (md5 !== undefined && md5 !== hash("md5", body, "base64")) return error(400, "BadDigest")
  return crc !== undefined && body.length > 0 && !body.toString("latin1", 0, 30).startsWith("<Complete") &&
      crc !== crcOf(body)
    ? error(400, "BadDigest")
    : undefined
}
