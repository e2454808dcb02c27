/**
 * Standard output and standard error, as effects that wait for a slow reader.
 *
 * When the reader goes away (`| head`), what is still written is dropped: an upload goes on to its end, and whoever
 * only prints asks `closed` and stops.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { WriteStream } from "node:tty"
import * as Style from "./Style.js"

/** Where text goes. */
export interface Sink {
  /** Writes text as it is, and waits while the reader is behind. */
  readonly write: (text: string) => Effect.Effect<void>
  /** Waits until everything has been handed over. */
  readonly flush: Effect.Effect<void>
  /** Whether the reader has gone away. */
  readonly closed: () => boolean
  /** Whether a person sees it live, on a terminal that can move its cursor. */
  readonly isTerminal: boolean
  readonly style: Style.Style
  /** The terminal's size at this moment. */
  readonly size: () => { readonly columns: number; readonly rows: number }
}

export class Output extends Context.Tag("@sluice/cli/Output")<Output, {
  readonly stdout: Sink
  readonly stderr: Sink
}>() {}

/** The streams of this process. */
export const layerProcess: Layer.Layer<Output> = Layer.sync(Output, () => ({
  stdout: makeSink(process.stdout),
  stderr: makeSink(process.stderr)
}))

/** Writes lines, each with its end. */
export const writeLines = (sink: Sink, lines: ReadonlyArray<string>): Effect.Effect<void> =>
  lines.length === 0 ? Effect.void : sink.write(`${lines.join("\n")}\n`)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const makeSink = (stream: WriteStream): Sink => {
  const isTerminal = stream.isTTY === true && process.env["TERM"] !== "dumb"
  const writable = Effect.unsafeMakeLatch(true)
  let closed = false
  stream.on("drain", () => writable.unsafeOpen())
  stream.on("error", () => {
    closed = true
    writable.unsafeOpen()
  })
  return {
    write: (text) =>
      Effect.suspend(() => {
        if (closed || stream.write(text)) return Effect.void
        writable.unsafeClose()
        return writable.await
      }),
    flush: Effect.async<void>((resume) => {
      if (closed) resume(Effect.void)
      else stream.write("", () => resume(Effect.void))
    }),
    closed: () => closed,
    isTerminal,
    style: isTerminal && stream.hasColors() ? Style.ansi : Style.plain,
    size: () => ({ columns: stream.columns ?? 80, rows: stream.rows ?? 24 })
  }
}
