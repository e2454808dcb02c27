/**
 * Prints log messages in the style of the command: `sluice: The journal in … was damaged in 2 places.`, each once, on
 * standard error, since standard output is for results.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Inspectable from "effect/Inspectable"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type { Sink } from "./Output.js"
import { printable } from "./TerminalText.js"

/** Prints everything that an effect logs to a sink, and nowhere else: it replaces all other loggers. */
export const toldOn = (sink: Sink) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.locally(effect, FiberRef.currentLoggers, HashSet.make(loggerOf(sink)))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const loggerOf = (sink: Sink): Logger.Logger<unknown, void> =>
  Logger.make(({ cause, logLevel, message }) => {
    const isWarning = LogLevel.greaterThanEqual(logLevel, LogLevel.Warning)
    const said = (Array.isArray(message) ? message : [message]).map((part) => Inspectable.toStringUnknown(part, 0))
    const why = Cause.isEmpty(cause) ? [] : [Cause.pretty(cause)]
    const line = `sluice: ${isWarning ? "" : `${logLevel.label.toLowerCase()}: `}${
      printable([...said, ...why].join(" "))
    }`
    sink.unsafeSay(isWarning ? sink.style.yellow(line) : line)
  })
