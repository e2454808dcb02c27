/**
 * A server of the tus 1.0.0 protocol for resumable uploads.
 *
 * A small file is one request where the server takes bytes with the creation of an upload, and two elsewhere. A large
 * one goes up in parts, one after the other; where the server offers to concatenate uploads, several at once. What a
 * broken request has left at the server is asked for, and not sent again; with a journal another process goes on.
 *
 * The server chooses the address of every upload, and tells nobody which uploads it has: the key is part of the upload's
 * metadata, as `filename`, and the same key twice makes two uploads. `onStored` tells the addresses, and by `locations`
 * they are told again, to look at what is there. They are not in messages: to know one may be all it takes to read, or
 * to remove, what is there. An upload has to be at the origin of the endpoint. An upload of which not even the address
 * has arrived, since the answer to its creation was lost, cannot be found again: it is left to expire. With a journal the
 * address of each file is noted until its run has ended, so that what a process has uploaded before it was killed is
 * looked at by the next one, and not sent again.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { Destination } from "../Destination.js"
import * as HttpCredentials from "../internal/transport/credentials.js"
import { Transport } from "../Transport.js"
import * as Concatenation from "./internal/tus/concatenation.js"
import * as Objects from "./internal/tus/objects.js"
import type * as TusOffer from "./internal/tus/offer.js"
import * as Parts from "./internal/tus/parts.js"
import * as Server from "./internal/tus/server.js"
import * as Uploads from "./internal/tus/uploads.js"

/**
 * Who is asking: see {@link bearer} and {@link basic}.
 *
 * @since 0.1.0
 * @category models
 */
export type Credentials = Redacted.Redacted<string>

/**
 * What a server can do.
 *
 * @since 0.1.0
 * @category models
 */
export type Offer = TusOffer.Offer

/**
 * An upload that is at the server, whole.
 *
 * @since 0.1.0
 * @category models
 */
export interface Uploaded {
  readonly key: string
  /** The address that the server has given it. To know it may be all it takes to read it, or to remove it. */
  readonly url: string
  /** In bytes. */
  readonly size: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The address that uploads are created at, such as `https://tus.example.org/files/`. */
  readonly url: string
  /** Headers for every request. Names in any case. Defaults to none. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** What the `Authorization` header says. Defaults to nothing. */
  readonly credentials?: Credentials | undefined
  /**
   * The name of the metadata that has the key, such as `relativePath`; `filename` is then the last segment of the key.
   * Defaults to `filename`.
   */
  readonly keyName?: string | undefined
  /**
   * Whether large files go up in several parts at once, where the server offers to concatenate uploads. The server then
   * sees each part, of which there are at most 100, as an upload of its own; when they have been concatenated they are
   * removed. Defaults to `true`.
   */
  readonly concatenation?: boolean | undefined
  /** What the server can do, where it is not to be asked. Defaults to its answer to `OPTIONS`. */
  readonly offer?: Offer | undefined
  /** Told of each upload when the server has all of it. Defaults to nobody. */
  readonly onStored?: ((uploaded: Uploaded) => Effect.Effect<void>) | undefined
  /**
   * The addresses of what was uploaded, by key, as `onStored` has told them. By these objects can be looked at, be read
   * where the server serves what it has, and be removed where it offers termination. One that is not at the origin of
   * the endpoint is refused. Defaults to none: then nothing can be looked at.
   */
  readonly locations?: Locations | undefined
}

/**
 * The addresses of uploads, by key: a list, or a function that looks one up.
 *
 * @since 0.1.0
 * @category models
 */
export type Locations = Objects.Locations

/**
 * The options' defaults.
 *
 * @since 0.1.0
 * @category defaults
 */
export const defaults = { keyName: "filename", concatenation: true } as const

/**
 * Credentials of a bearer token.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bearer: (token: Redacted.Redacted<string>) => Credentials = HttpCredentials.bearer

/**
 * Credentials of a user name and a password.
 *
 * @since 0.1.0
 * @category constructors
 */
export const basic: (user: string, password: Redacted.Redacted<string>) => Credentials = HttpCredentials.basic

/**
 * A tus server as a destination.
 *
 * @example
 * ```ts
 * import { Uploader } from "@sluice/core"
 * import * as Tus from "@sluice/core/destinations/Tus"
 * import * as TransportNode from "@sluice/core/TransportNode"
 * import { Layer, Redacted } from "effect"
 *
 * const VideoUploader = Uploader.layer().pipe(
 *   Layer.provide(Tus.layer({
 *     url: "https://tus.example.org/files/",
 *     credentials: Tus.bearer(Redacted.make("token"))
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
 * Makes a destination of a tus server. The server is asked what it can do, for at most 10 seconds; of one that does not
 * say so nothing is asked but what every server can do, and why it did not answer shows with the first upload.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Destination["Type"], never, Transport> =>
  Effect.gen(function*() {
    const server = yield* Server.make(yield* Transport, { ...options, keyName: options.keyName ?? defaults.keyName })
    const { checksums = [], extensions, maxSize } = server.offer
    const parallel = extensions.includes("concatenation") && (options.concatenation ?? defaults.concatenation)
    return Destination.of({
      name: server.name,
      capabilities: {
        maxPutSize: maxSize ?? Infinity,
        unknownSize: false,
        emptySegments: true,
        wholeBodies: checksums.length > 0,
        checksums
      },
      put: (request) => Uploads.put(server, request),
      headAt: (location, key) => Objects.headAt(server, location, key),
      probe: server.probe,
      multipart: parallel ? Concatenation.multipart(server) : Parts.multipart(server),
      ...(options.locations !== undefined && Objects.verbs(server, options.locations))
    })
  })
