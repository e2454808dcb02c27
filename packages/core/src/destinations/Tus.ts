/**
 * A server for resumable uploads with the tus 1.0.0 protocol.
 *
 * A small file is one request if the server takes bytes when an upload is created, and two otherwise. A large one goes
 * up in parts, one after the other, or several at once if the server offers concatenation. The driver asks the server
 * what a broken request has stored, and does not send that again; with a journal another process can resume.
 *
 * The server chooses the address of every upload and does not list its uploads: the key is part of the upload's
 * metadata, as `filename`, and uploading the same key twice makes two uploads. `onStored` reports the addresses, and
 * `locations` takes them back, to look at stored objects. Messages omit the addresses, because knowing one may be all
 * it takes to read or remove an object. An upload must be at the origin of the endpoint. If its address never arrived,
 * because the answer to the creation was lost, the upload cannot be found again and is left to expire. With a journal,
 * the address of each file is kept until its run has ended, so that the next process looks at what a killed process
 * uploaded and does not send it again.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { Destination } from "../Destination.js"
import * as HttpCredentials from "../internal/transport/credentials.js"
import * as Decode from "../internal/values/decode.js"
import { Transport } from "../Transport.js"
import * as Concatenation from "./internal/tus/concatenation.js"
import * as Objects from "./internal/tus/objects.js"
import type * as TusOffer from "./internal/tus/offer.js"
import * as Parts from "./internal/tus/parts.js"
import * as Server from "./internal/tus/server.js"
import * as Uploads from "./internal/tus/uploads.js"

/**
 * The credentials of the client: see {@link bearer} and {@link basic}.
 *
 * @since 0.1.0
 * @category models
 */
export type Credentials = Redacted.Redacted<string>

/**
 * The capabilities of a server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Offer extends TusOffer.Offer {}

/**
 * An upload that is complete at the server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Uploaded {
  readonly key: string
  /** The address that the server assigned. Knowing it may be all it takes to read or remove the upload. */
  readonly url: string
  /** The size in bytes. */
  readonly size: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The address at which uploads are created, such as `https://tus.example.org/files/`. */
  readonly url: string
  /** Headers for every request. Names in any case. Defaults to none. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** The value of the `Authorization` header. Defaults to none. */
  readonly credentials?: Credentials | undefined
  /**
   * The name of the metadata field that holds the key, such as `relativePath`; `filename` is then the last segment of
   * the key. Defaults to `filename`.
   */
  readonly keyName?: string | undefined
  /**
   * Whether large files go up in several parts at once if the server offers concatenation. The server then sees each
   * part, of which there are at most 100, as an upload of its own; after concatenation they are removed. Defaults to
   * `true`.
   */
  readonly concatenation?: boolean | undefined
  /** The capabilities of the server, to avoid asking it. Defaults to its answer to `OPTIONS`. */
  readonly offer?: Offer | undefined
  /** Called for each upload when the server has all of it. Defaults to none. */
  readonly onStored?: ((uploaded: Uploaded) => Effect.Effect<void>) | undefined
  /**
   * The addresses of uploaded files, by key, as reported by `onStored`. With them objects can be looked at, read if the
   * server serves its uploads, and removed if it offers termination. An address that is not at the origin of the
   * endpoint is refused. Defaults to none: then nothing can be looked at.
   */
  readonly locations?: Locations | undefined
}

/**
 * The addresses of uploads, by key: a map, or a function that looks one up.
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
 * A tus server as a destination, with options from the configuration: each is a `Config`. An option that the program
 * decides itself, such as `onStored`, is a `Config.succeed`.
 *
 * @example
 * ```ts
 * import * as Tus from "@sluice/core/destinations/Tus"
 * import { Config, Console } from "effect"
 *
 * const VideosLayer = Tus.layerConfig({
 *   url: Config.string("TUS_URL"),
 *   credentials: Config.map(Config.redacted("TUS_TOKEN"), Tus.bearer),
 *   onStored: Config.succeed(({ key }: Tus.Uploaded) => Console.log(`${key} is stored`))
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
 * Makes a destination from a tus server. The server is asked for its capabilities, for at most 10 seconds. If it does
 * not answer, only what every server can do is used, and the first upload shows why it did not answer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(
  function*(options: Options): Effect.fn.Return<Destination["Type"], never, Transport> {
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
  }
)
