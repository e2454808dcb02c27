/**
 * HTTP for destinations, over a pool of kept-alive connections, with proxies as the environment names them. Loaded only
 * when it is used.
 */
import type { Answer } from "@sluice/core/Transport"
import { Transport } from "@sluice/core/Transport"
import * as TransportNode from "@sluice/core/TransportNode"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as CliError from "./CliError.js"

/** What the transport is told of. */
export interface Options {
  /** How many connections there may be. */
  readonly connections: number
  /** A file with authorities to trust, and where it was named. */
  readonly ca: { readonly file: string; readonly name: string } | undefined
  readonly verifyTls: boolean
}

export const layer = (options: Options): Layer.Layer<Transport, CliError.CliError> =>
  Layer.unwrapEffect(
    Effect.map(
      options.ca === undefined ? Effect.succeed(undefined) : readAuthorities(options.ca),
      (ca) =>
        TransportNode.layer({
          connections: options.connections,
          ca,
          verifyTls: options.verifyTls,
          proxy: true
        }).pipe(Layer.project(Transport, Transport, hiding(proxySecrets(process.env))))
    )
  )

/** What proxies are told of who asks: their passwords, and the header that they go in. */
export const proxySecrets = (
  environment: Readonly<Record<string, string | undefined>>
): ReadonlyArray<string> =>
  ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].flatMap((name) => {
    const url = Option.getOrUndefined(Option.liftThrowable((text: string) => new URL(text))(environment[name] ?? ""))
    if (url === undefined || url.password === "") return []
    const decode = (text: string) => Option.getOrElse(Option.liftThrowable(decodeURIComponent)(text), () => text)
    const [user, password] = [decode(url.username), decode(url.password)]
    return [Buffer.from(`${user}:${password}`).toString("base64"), url.password, password]
  })

/** A refusal may repeat what was asked, and end up in a message: what only the proxy was to know is taken out. */
export const hiding = (secrets: ReadonlyArray<string>) => (transport: Transport["Type"]): Transport["Type"] => {
  if (secrets.length === 0) return transport
  const hide = (text: string) => secrets.reduce((shown, secret) => shown.replaceAll(secret, "***"), text)
  const clean = (answer: Answer): Answer =>
    answer.status < 300 ? answer : {
      status: answer.status,
      headers: Object.fromEntries(Object.entries(answer.headers).map(([name, value]) => [name, hide(value)])),
      body: Buffer.from(hide(Buffer.from(answer.body).toString("latin1")), "latin1")
    }
  return Transport.of({ ...transport, send: (request) => Effect.map(transport.send(request), clean) })
}

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
      () => CliError.usage(`${name}: ${file} holds no certificate in PEM.`)
    )
  )
