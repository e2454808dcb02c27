/**
 * Events that get their own line during a run: retries and failures, until there are too many of them.
 */
import type { OutageChanged, UploadEvent, UploadRestarted } from "@sluice/core/UploadEvent"
import * as Format from "./Format.js"
import { failureLine } from "./Report.js"
import type { Style } from "./Style.js"
import { printable } from "./TerminalText.js"

/** How many retries, and how many failures, get their own line. */
export const shown = 20

/** Turns events into lines. */
export class Notices {
  private readonly style: Style
  private retries = 0
  private failures = 0

  constructor(style: Style) {
    this.style = style
  }

  /** The line for an event, if it gets one. */
  lineOf(event: UploadEvent): string | undefined {
    if (event._tag === "UploadRetrying" && this.retries <= shown) {
      this.retries += 1
      return this.style.yellow(
        this.retries > shown
          ? "Further retries are only counted."
          : `Retrying ${printable(event.key)}${event.part === undefined ? "" : `, part ${event.part},`} in ${
            Format.duration(event.delayMillis)
          }, attempt ${event.attempt + 1}${event.attempts === undefined ? "" : ` of ${event.attempts}`}: ` +
            printable(event.error.message)
      )
    }
    if (event._tag === "OutageChanged") return this.outage(event)
    if (event._tag === "UploadResumed" && event.bytes > 0) {
      return `Continuing ${printable(event.key)}: ${Format.bytes(event.bytes)} are stored already.`
    }
    if (event._tag === "UploadRestarted") {
      return this.style.yellow(`Starting ${printable(event.key)} over: ${restartReasons[event.reason]}.`)
    }
    if (event._tag === "UploadFinished" && event.outcome === "Failed" && this.failures <= shown) {
      this.failures += 1
      return this.style.red(
        this.failures > shown
          ? "Further failures are only counted."
          : `Failed ${failureLine(event.key, event.error?.message ?? "", event.attempts)}`
      )
    }
    return undefined
  }

  private outage({ at, error, since, state }: typeof OutageChanged.Type): string {
    const time = Format.duration(at - since)
    switch (state) {
      case "Away":
        return this.style.yellow(
          `The destination is away: ${printable(error?.message ?? "")} Waiting for it to come back.`
        )
      case "Back":
        return `The destination is back after ${time}: continuing.`
      case "GivenUp":
        return this.style.yellow(`The destination has been away for ${time}: no longer waiting for it. See --outage.`)
    }
  }
}

const restartReasons: Record<(typeof UploadRestarted.Type)["reason"], string> = {
  SourceChanged: "it has changed since the last run",
  PartSizeChanged: "the part size differs from that of the last run",
  ChecksumChanged: "the checksum differs from that of the last run",
  SessionGone: "the destination no longer has what the last run sent",
  PartsUnknown: "the destination does not report what it has from the last run, whose upload was aborted"
}
