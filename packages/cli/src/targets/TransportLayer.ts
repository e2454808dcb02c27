/**
 * HTTP for destinations, over a pool of kept-alive connections, with the proxies from the environment. This module is
 * loaded only when it is used.
 */
import type { Transport } from "@sluice/core/Transport"
import * as TransportNode from "@sluice/core/TransportNode"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as CliError from "../CliError.js"

/** Options for the transport. */
export interface Options {
  /** The maximum number of connections. */
  readonly connections: number
  /** A file with authorities to trust, and the flag or variable that names it. */
  readonly ca: { readonly file: string; readonly name: string } | undefined
  readonly verifyTls: boolean
}

export const layer = (options: Options): Layer.Layer<Transport, CliError.CliError> =>
  Layer.unwrapEffect(
    Effect.map(
      options.ca === undefined ? Effect.succeed(undefined) : readAuthorities(options.ca),
      (ca) => TransportNode.layer({ connections: options.connections, ca, verifyTls: options.verifyTls, proxy: true })
    )
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const readAuthorities = ({ file, name }: { readonly file: string; readonly name: string }) =>
  Effect.tryPromise({
    try: () => fs.promises.readFile(file, "utf8"),
    catch: (cause) => CliError.usage(`${name}: ${file} ${CliError.whyUnreadable(cause)}.`)
  }).pipe(
    Effect.filterOrFail(
      (text) => text.includes("-----BEGIN CERTIFICATE-----"),
      () => CliError.usage(`${name}: ${file} contains no PEM certificate.`)
    )
  )
