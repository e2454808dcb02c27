/**
 * A transport around a real one, on which chosen requests go wrong: for every driver that speaks HTTP, and without any
 * help of the server.
 */
import { Transport, UploadError } from "@sluice/core"
import { Context, Effect, Layer, Stream } from "effect"

/**
 * What becomes of a request: it is answered instead of the server, after its body was taken or before; the connection
 * breaks before the server has it, or after the server has done it; it never comes to an end; or a bit of its body is
 * flipped on the way.
 */
export type Fault =
  | {
    readonly _tag: "Answers"
    readonly status: number
    readonly headers?: Readonly<Record<string, string>> | undefined
    readonly body?: string | undefined
    /** Whether it is answered before a byte of its body was taken. */
    readonly early?: boolean | undefined
  }
  | { readonly _tag: "Breaks" }
  | { readonly _tag: "AnswerLost" }
  | { readonly _tag: "Hangs" }
  | { readonly _tag: "BitFlipped" }

export class FlakyTransport extends Context.Tag("@sluice/core/test/FlakyTransport")<FlakyTransport, {
  /** Every request, as `stageOf` calls it. */
  readonly asked: () => ReadonlyArray<string>
  /** The fates of the next requests of a stage, in order. */
  readonly next: (stage: string, ...faults: ReadonlyArray<Fault>) => Effect.Effect<void>
  /** How many faults were met. */
  readonly met: () => number
}>() {}

const broken = new UploadError.Transient({ reason: "Connection", detail: "The connection broke (made for the test)." })

const taken = ({ body }: Transport.Request): Effect.Effect<unknown, UploadError.UploadError> =>
  body === undefined || body instanceof Uint8Array ? Effect.void : Stream.runDrain(body.stream())

/** The same request with a bit flipped in its first byte; its headers speak of the bytes as they were. */
const flipped = (request: Transport.Request): Effect.Effect<Transport.Request, UploadError.UploadError> => {
  const flip = (bytes: Uint8Array) => {
    const copy = bytes.slice()
    if (copy.length > 0) copy[0]! ^= 1
    return copy
  }
  const { body } = request
  if (body === undefined) return Effect.succeed(request)
  return Effect.map(
    body instanceof Uint8Array ? Effect.succeed(body) : Effect.flatMap(body.whole, (whole) => whole.bytes),
    (bytes) => ({ ...request, body: flip(bytes) })
  )
}

/** `stageOf` names what a request is for: those without a name are left alone. */
export const around = <E, In>(
  layer: Layer.Layer<Transport.Transport, E, In>,
  stageOf: (request: Omit<Transport.Request, "body">) => string | undefined
): Layer.Layer<Transport.Transport | FlakyTransport, E, In> =>
  Layer.flatMap(layer, (context) =>
    Layer.suspend(() => {
      const real = Context.get(context, Transport.Transport)
      const asked: Array<string> = []
      const faults = new Map<string, Array<Fault>>()
      let met = 0

      const send = (request: Transport.Request): Effect.Effect<Transport.Answer, UploadError.UploadError> =>
        Effect.suspend(() => {
          const stage = stageOf(request)
          if (stage !== undefined) asked.push(stage)
          const fault = stage === undefined ? undefined : faults.get(stage)?.shift()
          if (fault === undefined) return real.send(request)
          met += 1
          switch (fault._tag) {
            case "Answers": {
              const { body = "", early = false, headers = {}, status } = fault
              const answer = { status, headers, body: new TextEncoder().encode(body) }
              return Effect.as(early ? Effect.void : taken(request), answer)
            }
            case "Breaks":
              return Effect.zipRight(taken(request), Effect.fail(broken))
            case "AnswerLost":
              return Effect.zipRight(real.send(request), Effect.fail(broken))
            case "Hangs":
              return Effect.never
            case "BitFlipped":
              return Effect.flatMap(flipped(request), real.send)
          }
        })

      return Layer.merge(
        Layer.succeed(Transport.Transport, { ...real, send }),
        Layer.succeed(FlakyTransport, {
          asked: () => asked,
          next: (stage, ...all) => Effect.sync(() => void faults.set(stage, [...all])),
          met: () => met
        })
      )
    }))
