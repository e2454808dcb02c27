/**
 * Standard output and standard error, as effects that wait for a slow reader.
 *
 * When the reader goes away (`| head`), further output is dropped: an upload runs to its end, and a command that only
 * prints checks `closed` and stops. Any other write error, such as a full disk, is kept as the sink's `failure`, which
 * the command reports at its end.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import type { WriteStream } from "node:tty"
import * as CliError from "../CliError.js"
import * as Descriptor from "./Descriptor.js"
import * as Style from "./Style.js"

/** Where text goes. */
export interface Sink extends Stream {
  /** Prints a line from code that cannot wait, such as a logger. */
  readonly unsafeSay: (line: string) => void
  /** Redirects such lines until the scope closes: a live view prints them above itself. */
  readonly divert: (to: (line: string) => void) => Effect.Effect<void, never, Scope.Scope>
}

/** A stream to write text to. */
export interface Stream {
  /** Writes text unchanged, and waits while the reader is behind. */
  readonly write: (text: string) => Effect.Effect<void>
  /** Waits until everything has been written. */
  readonly flush: Effect.Effect<void>
  /** Whether nothing more can be written, because the reader has gone away or writing has failed. */
  readonly closed: () => boolean
  /** The error that prevented a write, other than a reader that has gone away. */
  readonly failure: () => Option.Option<unknown>
  /** Whether it is a terminal that can move its cursor. */
  readonly isTerminal: boolean
  readonly style: Style.Style
  /** The terminal's current size. */
  readonly size: () => { readonly columns: number; readonly rows: number }
}

export class Output extends Context.Tag("@sluice/cli/Output")<Output, {
  readonly stdout: Sink
  readonly stderr: Sink
}>() {}

/** A sink over a stream. */
export const make = (stream: Stream): Sink => {
  let diverted: ((line: string) => void) | undefined = undefined
  return {
    ...stream,
    unsafeSay: (line) => diverted === undefined ? void Effect.runFork(stream.write(`${line}\n`)) : diverted(line),
    divert: (to) =>
      Effect.acquireRelease(Effect.sync(() => diverted = to), () => Effect.sync(() => diverted = undefined)).pipe(
        Effect.asVoid
      )
  }
}

/** The streams of this process. */
export const layerProcess: Layer.Layer<Output> = Layer.sync(Output, () => ({
  stdout: make(streamOf(process.stdout)),
  stderr: make(streamOf(process.stderr))
}))

/** Writes lines, each with its end. */
export const writeLines = (sink: Pick<Sink, "write">, lines: ReadonlyArray<string>): Effect.Effect<void> =>
  lines.length === 0 ? Effect.void : sink.write(`${lines.join("\n")}\n`)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** A stream of this process, with its file descriptor. */
type OwnStream = WriteStream & { readonly fd: number }

const streamOf = (stream: OwnStream): Stream => {
  const isTerminal = stream.isTTY === true && process.env["TERM"] !== "dumb"
  const writable = Effect.unsafeMakeLatch(true)
  let closed = false
  let failure: Option.Option<unknown> = Option.none()
  const close = () => {
    closed = true
    writable.unsafeOpen()
  }
  const fail = (cause: unknown) => {
    if (!closed && !isReaderGone(cause, stream.isTTY === true)) failure = Option.some(cause)
    close()
  }
  stream.on("drain", () => writable.unsafeOpen())
  stream.on("error", fail)
  stream.on("close", close)
  const size = () => ({ columns: stream.columns || 80, rows: stream.rows || 24 })
  const shared = {
    closed: () => closed,
    failure: () => failure,
    isTerminal,
    style: isTerminal && stream.hasColors() ? Style.ansi : Style.plain,
    size
  }
  if (isFile(stream)) {
    return {
      ...shared,
      write: (text) =>
        Effect.sync(() => {
          const written = closed ? Either.void : writeWhole(stream.fd, text)
          if (Either.isLeft(written)) fail(written.left)
        }),
      flush: Effect.void
    }
  }
  return {
    ...shared,
    write: (text) =>
      Effect.suspend(() => {
        if (closed || stream.write(text)) return Effect.void
        writable.unsafeClose()
        return writable.await
      }),
    flush: Effect.async<void>((resume) => {
      if (closed) resume(Effect.void)
      else {
        stream.write("", (cause) => {
          if (cause) fail(cause)
          resume(Effect.void)
        })
      }
    })
  }
}

/** Whether an error of a stream means that its reader is gone: a pipe, a socket or a terminal that was closed. */
const isReaderGone = (cause: unknown, isTerminal: boolean): boolean => {
  const code = String(CliError.codeOf(cause))
  return (gone.has(code) || (isTerminal && code === "EIO"))
}

const gone: ReadonlySet<string> = new Set(["EPIPE", "ECONNRESET", "EOF", "ERR_STREAM_DESTROYED"])

/** Node ignores how much of a write to a file succeeded: on a full disk that may be a part. */
const isFile = (stream: OwnStream): boolean =>
  stream.isTTY !== true &&
  Option.exists(Descriptor.stat(stream.fd), (stat) => stat.isFile() || stat.isCharacterDevice())

const writeWhole = (fd: number, text: string): Either.Either<void, unknown> =>
  Either.try({
    try: () => {
      const bytes = Buffer.from(text)
      for (let at = 0; at < bytes.length;) at += fs.writeSync(fd, bytes, at)
    },
    catch: (cause) => cause
  })
