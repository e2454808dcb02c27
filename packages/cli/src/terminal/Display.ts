/**
 * Shows a run in progress: as a live view on a terminal, as a line every few seconds elsewhere, or not at all.
 *
 * The live view uses the last lines of the screen and is redrawn at most ten times a second; messages go above it. Each
 * frame is one write. The cursor is hidden while a frame is drawn, and always shown again when the process ends.
 */
import type { Limits } from "@sluice/core/Limits"
import type { UploadEvent } from "@sluice/core/UploadEvent"
import type { UploadRun } from "@sluice/core/UploadRun"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { Notices } from "./Notices.js"
import type { Output, Sink } from "./Output.js"
import * as ProgressView from "./ProgressView.js"
import * as TerminalText from "./TerminalText.js"

export interface Display {
  /** Records an event of the run. */
  readonly note: (event: UploadEvent) => Effect.Effect<void>
  /** Prints a message at once. */
  readonly say: (line: string) => Effect.Effect<void>
  /** Shows a run in progress, until the scope closes. */
  readonly show: (run: Shown) => Effect.Effect<void, never, Scope.Scope>
}

/** The parts of a run that a display reads. */
export interface Shown extends Pick<UploadRun<never>, "currentProgress" | "inFlight" | "throughput"> {
  readonly limits?: Pick<Limits, "current" | "reason"> | undefined
}

/** Wording that differs from that for uploads. */
export type Words = Pick<ProgressView.Moment, "failed">

/** The display that suits the sink and what else is printed there. */
export const make = (
  { stderr, stdout }: Pick<Output["Type"], "stderr" | "stdout">,
  { json, quiet: isQuiet }: { readonly json: boolean; readonly quiet: boolean },
  words: Words = {}
): Display =>
  isQuiet || (json && stdout.isTerminal)
    ? quiet(stderr)
    : stderr.isTerminal
    ? live(stderr, words)
    : plain(stderr, words)

/** Prints messages, and shows nothing else. */
export const quiet = (sink: Sink): Display => ({
  note: () => Effect.void,
  say: (line) => sink.write(`${line}\n`),
  show: () => Effect.void
})

/**
 * A line every five seconds, and one when the destination goes away or comes back. Failures are counted, and reported
 * at the end.
 */
export const plain = (sink: Sink, words: Words = {}): Display => {
  const notices = new Notices(sink.style)
  const stage = new Stage(words)
  return {
    note: (event) =>
      Effect.suspend(() => {
        stage.note(event)
        const line = event._tag === "OutageChanged" ? notices.lineOf(event) : undefined
        return line === undefined ? Effect.void : sink.write(`${line}\n`)
      }),
    say: (line) => sink.write(`${line}\n`),
    show: (run) =>
      Effect.flatMap(stage.look(run), (moment) => sink.write(`${ProgressView.plainLine(moment)}\n`)).pipe(
        Effect.delay("5 seconds"),
        Effect.forever,
        Effect.forkScoped,
        Effect.asVoid
      )
  }
}

/** The live view. */
export const live = (sink: Sink, words: Words = {}): Display => {
  const notices = new Notices(sink.style)
  const stage = new Stage(words)
  let said: ReadonlyArray<string> = []
  let drawn: ReadonlyArray<string> = []
  const draw = (next: ReadonlyArray<string>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const frame = frameOf({ drawn, said, next, columns: sink.size().columns })
      said = []
      drawn = next
      return sink.write(frame)
    })
  return {
    note: (event) =>
      Effect.sync(() => {
        stage.note(event)
        const line = notices.lineOf(event)
        if (line !== undefined) said = [...said, line]
      }),
    say: (line) =>
      Effect.suspend(() => {
        said = [...said, line]
        return draw(drawn)
      }),
    show: (run) =>
      Effect.acquireRelease(
        Effect.zipRight(Effect.sync(() => process.once("exit", showCursor)), sink.write(hideCursor)),
        () =>
          draw([]).pipe(
            Effect.zipRight(sink.write(cursorBack)),
            Effect.zipRight(Effect.sync(() => process.off("exit", showCursor)))
          )
      ).pipe(
        Effect.zipRight(sink.divert((line) => said = [...said, line])),
        Effect.zipRight(
          Effect.flatMap(stage.look(run), (moment) =>
            draw(ProgressView.lines(moment, { ...sink.size(), style: sink.style }))).pipe(
              Effect.repeat(Schedule.spaced("100 millis")),
              Effect.forkScoped
            )
        ),
        Effect.asVoid
      )
  }
}

/**
 * The text that turns one frame into the next: it moves up to the first line of the frame, prints the messages since
 * then and the new lines. It takes into account that a terminal that has become narrower has wrapped the lines.
 */
export const frameOf = (options: {
  readonly drawn: ReadonlyArray<string>
  readonly said: ReadonlyArray<string>
  readonly next: ReadonlyArray<string>
  readonly columns: number
}): string => {
  const rows = options.drawn.reduce((sum, line) => sum + rowsOf(line, options.columns), 0)
  const up = rows > 0 ? `\u001b[${rows}A` : ""
  // Messages may wrap, so everything below is cleared for them; otherwise each line is replaced in place, without
  // flicker.
  const said = options.said.length > 0 ? `${clearBelow}${options.said.join("\n")}\n` : ""
  return `${up}\r${said}${options.next.map((line) => `${line}${clearLine}\n`).join("")}${clearBelow}`
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The state of a run, from its events and the run itself. */
class Stage {
  private readonly words: Words
  private stopping = false

  constructor(words: Words) {
    this.words = words
  }

  note(event: UploadEvent): void {
    if (event._tag === "RunChanged") this.stopping = event.state === "Draining" || event.state === "Interrupting"
  }

  look(run: Shown): Effect.Effect<ProgressView.Moment> {
    return Effect.map(
      Effect.all([
        run.currentProgress,
        run.throughput,
        run.inFlight,
        Clock.currentTimeMillis,
        limitOf(run)
      ]),
      ([progress, throughput, transfers, now, limit]) => ({
        progress,
        throughput,
        transfers,
        now,
        limit,
        stopping: this.stopping,
        ...this.words
      })
    )
  }
}

/** A limit without a reason does not change, so it is not shown. */
const limitOf = ({ limits }: Shown): Effect.Effect<ProgressView.Moment["limit"]> =>
  limits === undefined
    ? Effect.succeed(undefined)
    : Effect.zipWith(limits.current, limits.reason, ({ concurrency }, reason) =>
      reason === undefined ? undefined : { concurrency, reason })

const hideCursor = "\u001b[?25l"

const cursorBack = "\u001b[?25h"

const clearLine = "\u001b[K"

const clearBelow = "\u001b[J"

const showCursor = () => {
  process.stderr.write(cursorBack)
}

// oxlint-disable-next-line no-control-regex
const sequences = /\u001b\[[0-9;]*m/g

const rowsOf = (line: string, columns: number): number =>
  Math.max(1, Math.ceil(TerminalText.width(line.replace(sequences, "")) / Math.max(1, columns)))
