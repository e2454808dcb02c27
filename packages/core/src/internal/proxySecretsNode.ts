/**
 * What only a proxy is to know: a refusal of its may repeat what it was told, and end up in a message.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { answerLimit } from "../Transport.js"
import type { Answer, OpenAnswer, Transport } from "../Transport.js"
import { masking } from "./masking.js"

/** What the proxies of an environment are told of who asks: their passwords, and the header that they go in. */
export const of = (environment: Readonly<Record<string, string | undefined>>): ReadonlyArray<string> =>
  ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].flatMap((name) => {
    const url = Option.getOrUndefined(Option.liftThrowable((text: string) => new URL(text))(environment[name] ?? ""))
    if (url === undefined || url.password === "") return []
    const decode = (text: string) => Option.getOrElse(Option.liftThrowable(decodeURIComponent)(text), () => text)
    const [user, password] = [decode(url.username), decode(url.password)]
    return [Buffer.from(`${user}:${password}`).toString("base64"), url.password, password]
  })

/** Takes secrets out of the answers that are no success. */
export const hiding = (secrets: ReadonlyArray<string>, transport: Transport["Type"]): Transport["Type"] => {
  if (secrets.length === 0) return transport
  const hide = masking(...secrets)
  const cleanHeaders = (headers: Answer["headers"]) =>
    Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, hide(value)]))
  const cleanBytes = (bytes: Uint8Array): Uint8Array => {
    const text = Buffer.from(bytes).toString()
    const hidden = hide(text)
    return hidden === text ? bytes : Buffer.from(hidden)
  }
  const clean = (answer: Answer): Answer =>
    answer.status < 300
      ? answer
      : { ...answer, headers: cleanHeaders(answer.headers), body: cleanBytes(answer.body) }
  // The body of a refusal is a message: it is read whole, as far as anybody would.
  const cleanOpen = (answer: OpenAnswer): OpenAnswer =>
    answer.status < 300 ? answer : {
      status: answer.status,
      headers: cleanHeaders(answer.headers),
      stream: Stream.fromEffect(Effect.map(firstBytes(answer.stream), cleanBytes))
    }
  return {
    send: (request) => Effect.map(transport.send(request), clean),
    open: (request) => Effect.map(transport.open(request), cleanOpen)
  }
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
