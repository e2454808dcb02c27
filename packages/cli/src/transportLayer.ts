/**
 * HTTP for destinations, over a pool of kept-alive connections, with proxies as the environment names them. Loaded only
 * when it is used.
 */
import type { Answer, OpenAnswer } from "@sluice/core/Transport"
import { answerLimit, Transport } from "@sluice/core/Transport"
import * as TransportNode from "@sluice/core/TransportNode"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
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
  const cleanHeaders = (headers: Answer["headers"]) =>
    Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, hide(value)]))
  const cleanBytes = (bytes: Uint8Array): Uint8Array =>
    Buffer.from(hide(Buffer.from(bytes).toString("latin1")), "latin1")
  const clean = (answer: Answer): Answer =>
    answer.status < 300
      ? answer
      : { ...answer, headers: cleanHeaders(answer.headers), body: cleanBytes(answer.body) }
  // The body of a refusal is a message: it is read whole, as far as anybody would.
  const cleanOpen = (answer: OpenAnswer): OpenAnswer =>
    answer.status < 300 ? answer : {
      status: answer.status,
      headers: cleanHeaders(answer.headers),
      stream: Stream.fromEffect(Effect.map(firstBytes(answer.stream), (bytes) => cleanBytes(bytes)))
    }
  return Transport.of({
    send: (request) => Effect.map(transport.send(request), clean),
    open: (request) => Effect.map(transport.open(request), cleanOpen)
  })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const firstBytes = (stream: OpenAnswer["stream"]) =>
  Effect.map(
    Stream.runFoldWhile(
      stream,
      { blocks: [] as ReadonlyArray<Uint8Array>, size: 0 },
      ({ size }) => size < answerLimit,
      ({ blocks, size }, block) => ({ blocks: [...blocks, block], size: size + block.length })
    ),
    ({ blocks }) => Buffer.concat(blocks).subarray(0, answerLimit)
  )

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
