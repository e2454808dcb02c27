/**
 * Secrets of a proxy: its refusal may repeat them, and end up in a message.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { answerLimit } from "../../Transport.js"
import type { Answer, OpenAnswer, Transport } from "../../Transport.js"
import { masking } from "./masking.js"

/** Removes secrets from answers that are not successes. */
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
  // The body of a refusal is a message: it is read whole, within the usual limits.
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
