/**
 * Turns targets into destinations. Modules that only some of them need are loaded only for these, so that all others
 * start quickly.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import { Destination } from "@sluice/core/Destination"
import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as MachineNode from "@sluice/core/MachineNode"
import type { Transport } from "@sluice/core/Transport"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import type { Settings } from "../args/DestinationOptions.js"
import * as CliError from "../CliError.js"
import { Output, writeLines } from "../terminal/Output.js"
import { printable } from "../terminal/TerminalText.js"
import * as HttpAccess from "./HttpAccess.js"
import type { Locations } from "./RemoteLocations.js"
import type { Target } from "./Targets.js"
import * as Targets from "./Targets.js"

/** Options for a destination besides its address. */
export interface Options extends Settings {
  readonly fsync: boolean
  /** The addresses that a tus server gives. */
  readonly addresses?: Locations | undefined
  /** The maximum number of connections. */
  readonly connections: number
}

/** A target as a destination. Fails with `DestinationUnusable` if it proves unusable before the first upload. */
export const layer = (
  target: Target,
  options: Options
): Layer.Layer<Destination, CliError.CliError, FileSystem.FileSystem | Path.Path | Output> => {
  switch (target._tag) {
    case "Local":
      return Layer.unwrapEffect(Effect.map(MachineNode.openFilesLeft, (left) =>
        Layer.mapError(
          LocalDirectory.layer({
            root: target.root,
            fsync: options.fsync,
            // Sources get a quarter of the files that may be open, and each written file has its directory open too.
            maxOpenFiles: Math.max(1, Math.min(LocalDirectory.defaults.maxOpenFiles, Math.floor(left / 4)))
          }),
          (error) => CliError.destinationUnusable(`The destination cannot be used. ${error.message}`)
        )))
    case "Simulated":
      return Simulated.layer(target.network)
    case "S3":
    case "Tus":
    case "Http":
      return Layer.provide(layerRemote(target, options), layerTransport(target, options))
  }
}

/** A target on the network: a bucket or a server. */
export type Remote = Exclude<Target, { readonly _tag: "Local" | "Simulated" }>

export const isRemote = (target: Target): target is Remote => target._tag !== "Local" && target._tag !== "Simulated"

/** A target on the network as a destination. */
export const layerRemote = (
  target: Remote,
  options: Settings & Pick<Options, "addresses">
): Layer.Layer<Destination, CliError.CliError, Transport> => {
  switch (target._tag) {
    case "S3":
      return Layer.unwrapEffect(
        Effect.map(
          Effect.promise(() => import("./S3Layer.js")),
          (S3Layer) => withMetadata(S3Layer.layer(target, options, process.env), options)
        )
      )
    case "Tus":
      return Layer.unwrapEffect(Effect.gen(function*() {
        const access = yield* HttpAccess.make(options.headers)
        const TusLayer = yield* Effect.promise(() => import("./TusLayer.js"))
        return withMetadata(TusLayer.layer(target.url, access, options.addresses ?? {}), options)
      }))
    case "Http":
      return Layer.unwrapEffect(Effect.gen(function*() {
        const access = yield* HttpAccess.make(options.headers)
        const HttpLayer = yield* Effect.promise(() => import("./HttpLayer.js"))
        return HttpLayer.layer(target, access, options)
      }))
  }
}

/** The transport to a target on the network. Warns if it cannot be trusted. */
export const layerTransport = (
  target: Remote,
  options: Pick<Options, "ca" | "connections" | "verifyTls">
): Layer.Layer<Transport, CliError.CliError, Output> =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const { stderr } = yield* Output
    if (!options.verifyTls) yield* stderr.write(`${stderr.style.yellow(unverified)}\n`)
    const TransportLayer = yield* Effect.promise(() => import("./TransportLayer.js"))
    // Connections are open files too, and so are sources, which get a quarter of the files that may be open.
    const left = yield* MachineNode.openFilesLeft
    const connections = Math.max(1, Math.min(options.connections, Math.floor(left / 2)))
    return TransportLayer.layer({ ...options, connections, ca: authoritiesOf(target, options.ca) })
  }))

/** Prints what users must know about a kind of server, if the flags suggest that they do not. */
export const hint = (target: Target, { headers }: Pick<Settings, "headers">): Effect.Effect<void, never, Output> =>
  Effect.flatMap(Output, ({ stderr }) => {
    const said = Targets.azureHint(target, headers)
    return said === undefined || process.env["SLUICE_HTTP_HEADERS"]?.toLowerCase().includes("x-ms-blob-type") === true
      ? Effect.void
      : writeLines(stderr, [stderr.style.yellow(`sluice: ${printable(said)}`)])
  })

/**
 * A read-only target: nothing is created or written, and a directory need not be writable. Fails with
 * `DestinationUnusable` if a directory does not exist.
 */
export const layerReadOnly = (
  target: Target,
  options: Settings & Pick<Options, "addresses" | "connections">
): Layer.Layer<Destination, CliError.CliError, FileSystem.FileSystem | Path.Path | Output> => {
  const destination = layer(target, { ...options, fsync: false })
  if (target._tag !== "Local") return destination
  const readOnly = Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => ({
      ...fs,
      access: (path: string) => fs.access(path, { readable: true }),
      makeDirectory: (path: string) => fs.readDirectory(path).pipe(Effect.asVoid)
    }))
  )
  return Layer.unwrapEffect(Effect.as(checkDirectory(target.root), Layer.provide(destination, readOnly)))
}

/** Fails if a local destination does not exist. */
export const checkDirectory = (root: string): Effect.Effect<void, CliError.CliError> =>
  Effect.tryPromise({
    try: () => fs.promises.stat(root),
    catch: (cause) => CliError.destinationUnusable(`The destination ${root} ${CliError.whyUnreadable(cause)}.`)
  }).pipe(
    Effect.filterOrFail(
      (stat) => stat.isDirectory(),
      () => CliError.destinationUnusable(`The destination ${root} is not a directory.`)
    ),
    Effect.asVoid
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const unverified =
  "sluice: certificates are not checked (--no-verify-tls): anyone on the network path can read and change everything."

/** The file with authorities to trust. The AWS variable is for S3, and is read only if TLS is used. */
const authoritiesOf = (target: Remote, ca: string | undefined) => {
  if (ca !== undefined) return { file: ca, name: "--ca" }
  const bundle = process.env["AWS_CA_BUNDLE"]
  return target._tag === "S3" && bundle && !target.endpoint?.startsWith("http:")
    ? { file: bundle, name: "AWS_CA_BUNDLE" }
    : undefined
}

/** Adds metadata to every object, besides the file's own. */
const withMetadata = <E, R>(
  destination: Layer.Layer<Destination, E, R>,
  { metadata }: Pick<Settings, "metadata">
): Layer.Layer<Destination, E, R> => {
  if (Object.keys(metadata).length === 0) return destination
  const add = <A extends { readonly metadata?: Readonly<Record<string, string>> | undefined }>(request: A): A => ({
    ...request,
    metadata: { ...metadata, ...request.metadata }
  })
  return Layer.project(destination, Destination, Destination, ({ multipart, put, ...rest }) =>
    Destination.of({
      ...rest,
      put: (request) => put(add(request)),
      multipart: multipart && { ...multipart, create: (request) => multipart.create(add(request)) }
    }))
}
