/**
 * An HTTP server that takes files by `PUT`, through the `Transport` in the context.
 *
 * Each file is one request, or one per part if `parts` is set, with an accurate `Content-Length` and never chunked: a
 * body of unknown size is held in memory first, up to 8 MiB. Redirects are refused, because following one would hand
 * the credentials to whatever host it names. Requests are not traced, because an address may be a secret.
 *
 * A file counts as stored when the server answers with a success. A success with a web page may come from an
 * intermediary, such as a login portal: then a `HEAD` request must show the file with its size, unless the server
 * refuses `HEAD` or has answered 201 with a `Location` that is the file's own address. Presigned addresses cannot be
 * checked in this way: for them a page is a failure unless it comes with 201.
 *
 * `TransportNode.layer`, with as many connections as there are uploads in flight, is the transport for Node.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import type * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Destination } from "../Destination.js"
import type { PutRequest, Stored } from "../Destination.js"
import * as InFlight from "../internal/limits/inFlight.js"
import { isMissing, isSuccess, secretsOf, talkMillis } from "../internal/transport/answers.js"
import * as HttpCredentials from "../internal/transport/credentials.js"
import { invalidAddress } from "../internal/transport/failures.js"
import { masking } from "../internal/transport/masking.js"
import * as Decode from "../internal/values/decode.js"
import * as ObjectKey from "../ObjectKey.js"
import { renderUrl, Transport } from "../Transport.js"
import type { Answer, Request } from "../Transport.js"
import { Rejected } from "../UploadError.js"
import type { Conflict, UploadError } from "../UploadError.js"
import * as HttpAddress from "./internal/http/address.js"
import { fail, stored } from "./internal/http/answers.js"
import * as HttpConflicts from "./internal/http/conflicts.js"
import * as HttpForm from "./internal/http/form.js"
import type * as HttpPages from "./internal/http/pages.js"
import { contentRange, contentTypeOf, head, read } from "./internal/http/parts.js"
import type { Wire, WireRequest } from "./internal/http/parts.js"
import * as HttpPresigned from "./internal/http/presigned.js"

/**
 * The credentials of the client: see {@link bearer} and {@link basic}.
 *
 * @since 0.1.0
 * @category models
 */
export type Credentials = Redacted.Redacted<string>

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Where files go: an address that the key is appended to, or a template with `{key}` in it, such as
   * `https://example.org/files/{key}?overwrite=true`. The key's segments are percent-encoded.
   */
  readonly url: string
  /**
   * Whether `url` is the whole address of a single object, such as a presigned one: no key is appended, and a
   * `Content-Type` is sent only if `headers` has one, since it may not be part of the signature. Defaults to `false`.
   */
  readonly exact?: boolean | undefined
  /** Headers for every request. */
  readonly headers?: Headers.Input | undefined
  /** The value of the `Authorization` header. */
  readonly credentials?: Credentials | undefined
  /** The method. Defaults to `PUT`, and for forms to `POST`. */
  readonly method?: "PUT" | "POST" | undefined
  /** The most requests in flight at once; other uploads wait for their turn. Defaults to 256. */
  readonly maxRequests?: number | undefined
  /**
   * How large objects go in parts. `contentRange` sends each part as a `PUT` with `Content-Range: bytes a-b/total` to
   * the address of the object, one after the other; the server answers 308 and `Range: bytes=0-n` while it waits for
   * more. A part at 0 starts over, an empty `PUT` with `*` as the range asks how far the upload is, and `DELETE` ends
   * an incomplete upload. Use it only with servers that are known to work this way: others store a part as the object,
   * or delete it. Defaults to none: every object goes in one request.
   */
  readonly parts?: "contentRange" | undefined
  /** Sends each file in a form, as browsers do. Defaults to the bare file. */
  readonly form?: Form | undefined
  /**
   * Whether an existing object is left alone: requests carry `If-None-Match: *`, and the upload fails with `Conflict`
   * if the server answers 412. An upload that is retried because its answer was lost fails the same way. Defaults to
   * `false`.
   */
  readonly ifAbsent?: boolean | undefined
}

/**
 * A form (`multipart/form-data`, RFC 7578) with a file in it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Form {
  /** The name of the file's field. Defaults to `file`. */
  readonly field?: string | undefined
  /** Other fields, which come before the file; `{key}` in a value is replaced by the key. Defaults to none. */
  readonly fields?: Readonly<Record<string, string>> | undefined
}

/**
 * A presigned address and the headers that its signature covers.
 *
 * @since 0.1.0
 * @category models
 */
export interface PresignedUrl {
  readonly url: string
  /** Sent as they are. Defaults to none. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface PresignedOptions {
  /**
   * Where each file goes: a map by key, or a function that is asked for the address once for every attempt. A key that
   * the map does not have is `Rejected`.
   */
  readonly urls:
    | ((key: string) => Effect.Effect<string | PresignedUrl, UploadError>)
    | ReadonlyMap<string, string | PresignedUrl>
    | Readonly<Record<string, string | PresignedUrl>>
  /** The signed method. Defaults to `PUT`. */
  readonly method?: "PUT" | "POST" | undefined
  /** The most requests in flight at once; other uploads wait for their turn. Defaults to 256. */
  readonly maxRequests?: number | undefined
  /** The name of the destination in messages. Defaults to `presigned addresses`. */
  readonly name?: string | undefined
}

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { method: "PUT", maxRequests: 256, field: "file", ifAbsent: false, exact: false } as const

/**
 * Credentials from a bearer token.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bearer: (token: Redacted.Redacted<string>) => Credentials = HttpCredentials.bearer

/**
 * Credentials from a user name and a password.
 *
 * @since 0.1.0
 * @category constructors
 */
export const basic: (user: string, password: Redacted.Redacted<string>) => Credentials = HttpCredentials.basic

/**
 * An HTTP server as a destination.
 *
 * @example
 * ```ts
 * import { Uploader } from "@sluice/core"
 * import * as Http from "@sluice/core/destinations/Http"
 * import * as TransportNode from "@sluice/core/TransportNode"
 * import { Layer, Redacted } from "effect"
 *
 * const ArtifactUploader = Uploader.layer().pipe(
 *   Layer.provide(Http.layer({
 *     url: "https://ci.example.org/artifacts/{key}",
 *     credentials: Http.bearer(Redacted.make("token"))
 *   })),
 *   Layer.provide(TransportNode.layer())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Destination, never, Transport> =>
  Layer.effect(Destination, make(options))

/**
 * An HTTP server as a destination, with options from the configuration: each is a `Config`. An option that the program
 * decides itself is a `Config.succeed`.
 *
 * @example
 * ```ts
 * import * as Http from "@sluice/core/destinations/Http"
 * import { Config } from "effect"
 *
 * const ArtifactsLayer = Http.layerConfig({
 *   url: Config.string("ARTIFACTS_URL"),
 *   credentials: Config.map(Config.redacted("ARTIFACTS_TOKEN"), Http.bearer),
 *   headers: Config.succeed({ "x-source": "ci" })
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  config: Config.Config.Wrap<Options>
): Layer.Layer<Destination, ConfigError, Transport> => Layer.effect(Destination, Decode.configured(config, make))

/**
 * Presigned addresses as a destination. Only the bytes, their length and the headers that come with an address are
 * sent, because no other header was signed.
 *
 * @example
 * ```ts
 * import { Uploader } from "@sluice/core"
 * import * as Http from "@sluice/core/destinations/Http"
 * import * as TransportNode from "@sluice/core/TransportNode"
 * import { Layer } from "effect"
 *
 * const PresignedUploader = Uploader.layer().pipe(
 *   Layer.provide(Http.layerPresigned({
 *     urls: { "report.pdf": "https://bucket.example.org/report.pdf?X-Amz-Signature=…" }
 *   })),
 *   Layer.provide(TransportNode.layer())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPresigned = (options: PresignedOptions): Layer.Layer<Destination, never, Transport> =>
  Layer.effect(Destination, makePresigned(options))

/**
 * Makes a destination from an HTTP server.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Destination["Type"], never, Transport> =>
  Effect.map(Transport, (transport) => {
    const name = renderUrl(options.url)
    if (options.parts !== undefined) Decode.oneOf("parts", options.parts, ["contentRange"])
    const requests = InFlight.make(Decode.count("maxRequests", options.maxRequests ?? defaults.maxRequests))
    const headers: Readonly<Record<string, string>> = {
      ...Headers.fromInput(options.headers),
      ...(options.credentials !== undefined && { authorization: Redacted.value(options.credentials) })
    }
    const condition: Readonly<Record<string, string>> = options.ifAbsent === true ? { "if-none-match": "*" } : {}
    const { form } = options
    const mask = masking(...secretsOf(options.url, headers))
    const method = options.method ?? (form === undefined ? defaults.method : "POST")
    const addressOf = (key: string) => options.exact === true ? options.url : HttpAddress.withKey(options.url, key)
    // If the key could be part of the host, whoever names the files would choose who gets the credentials.
    const host = HttpAddress.hostOf(addressOf("a"))
    const valid = host !== undefined && host === HttpAddress.hostOf(addressOf("b"))

    const encoded = ({ body, contentType, key }: PutRequest) => {
      const type = contentTypeOf(contentType)
      return form === undefined
        ? Effect.succeed({ body, contentType: type })
        : HttpForm.encode({
          field: form.field ?? defaults.field,
          fields: Object.fromEntries(
            Object.entries(form.fields ?? {}).map(([field, value]) => [field, value.replaceAll("{key}", () => key)])
          ),
          fileName: key.slice(key.lastIndexOf("/") + 1),
          contentType: type,
          body
        })
    }

    const put = (request: PutRequest): Effect.Effect<Stored, UploadError> =>
      !valid ?
        Effect.fail(invalidAddress(name)) :
        Effect.flatMap(encoded(request), ({ body, contentType }) =>
          transport.send({
            method,
            url: addressOf(request.key),
            headers: {
              ...headers,
              ...condition,
              ...((options.exact !== true || form !== undefined) && { "content-type": contentType })
            },
            body,
            answerMillis: talkMillis
          })).pipe(
            requests.withPermits(1, (turn) => request.body.unwatched(turn)),
            Effect.flatMap((answer) => stored(name, answer, mask, evidenceOf(request))),
            Effect.catchTag("Conflict", (conflict) => settled(request.key, conflict))
          )

    /**
     * With `ifAbsent` a conflict is the requested outcome and needs no look; nor does a conflict that is final.
     */
    const settled = (key: string, conflict: Conflict): Effect.Effect<never, UploadError> =>
      options.ifAbsent === true || !/ answered 409\b/.test(conflict.detail)
        ? Effect.fail(conflict)
        : HttpConflicts.settled(
          name,
          conflict,
          form !== undefined || method !== "PUT" || options.exact === true
            ? undefined
            : { object: head(wire, key), directory: directoryOf(key) }
        )

    const directoryOf = (key: string): Effect.Effect<Answer, UploadError> => {
      const parent = key.split("/").slice(0, -1).join("/")
      const url = parent === "" ? options.url : addressOf(parent)
      return requests.withPermits(1)(transport.send({ method: "HEAD", url, headers, answerMillis: talkMillis }))
    }

    // Answers to forms are meant for browsers, so a page is a valid answer.
    const evidenceOf = ({ body, key }: PutRequest): HttpPages.Evidence | undefined =>
      form === undefined && method === "PUT"
        ? { url: addressOf(key), size: body.size, look: head(wire, key) }
        : undefined

    const addressed = (key: string, request: WireRequest): Effect.Effect<Request, UploadError> => {
      const problem = ObjectKey.problemAsPath(key)
      if (problem !== undefined) return Effect.fail(invalidKey(key, problem))
      if (!valid) return Effect.fail(invalidAddress(name))
      return Effect.succeed({
        ...request,
        url: addressOf(key),
        headers: { ...headers, ...request.headers, ...(request.body !== undefined && condition) },
        answerMillis: talkMillis
      })
    }

    const wire: Wire = {
      name,
      requests,
      ask: (key, request) => Effect.flatMap(addressed(key, request), transport.send),
      open: (key, request) => Effect.flatMap(addressed(key, request), transport.open),
      refused: (answer) => fail(name, answer, mask)
    }

    const remove = (key: string): Effect.Effect<void, UploadError> =>
      Effect.flatMap(
        requests.withPermits(1)(wire.ask(key, { method: "DELETE" })),
        (answer) => isSuccess(answer) || isMissing(answer) ? Effect.void : wire.refused(answer)
      )

    return Destination.of({
      name,
      capabilities: { maxPutSize: Infinity, unknownSize: false },
      put,
      // Even if objects have no addresses, a probe shows whether the server answers.
      probe: method === "PUT" && form === undefined ? undefined : HttpAddress.probe(transport, options.url),
      ...(method === "PUT" && form === undefined && {
        head: (key: string) => head(wire, key),
        read: (key: string) => read(wire, key),
        // With parts, a DELETE ends an upload in progress.
        ...(options.parts === undefined && { remove }),
        ...(options.parts === "contentRange" && { multipart: contentRange(wire) })
      })
    })
  })

/**
 * Makes a destination from presigned addresses.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makePresigned = (
  options: PresignedOptions
): Effect.Effect<Destination["Type"], never, Transport> =>
  Effect.map(Transport, (transport) =>
    HttpPresigned.make(transport, {
      urls: options.urls,
      method: options.method ?? defaults.method,
      requests: InFlight.make(Decode.count("maxRequests", options.maxRequests ?? defaults.maxRequests)),
      name: options.name ?? "presigned addresses"
    }))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const invalidKey = (key: string, problem: string) =>
  new Rejected({ reason: "InvalidKey", detail: `The key ${JSON.stringify(key)} ${problem}.` })
