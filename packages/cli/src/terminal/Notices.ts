/**
 * What is worth a line of its own while a run goes: retries and failures, until there are too many of them.
 */
import type { OutageChanged, UploadEvent, UploadRestarted } from "@sluice/core/UploadEvent"
import * as Format from "./Format.js"
import { failureLine } from "./Report.js"
import type { Style } from "./Style.js"
import { printable } from "./TerminalText.js"

/** How many retries, and how many failures, have a line of their own. */
export const shown = 20

/** Turns events into lines. */
export class Notices {
  private readonly style: Style
  private retries = 0
  private failures = 0

  constructor(style: Style) {
    this.style = style
  }

  /** The line for an event, where it has one. */
  lineOf(event: UploadEvent): string | undefined {
    if (event._tag === "UploadRetrying" && this.retries <= shown) {
      this.retries += 1
      return this.style.yellow(
        this.retries > shown
          ? "Further retries are counted only."
          : `Retrying ${printable(event.key)}${event.part === undefined ? "" : `, part ${event.part},`} in ${
            Format.duration(event.delayMillis)
          }, attempt ${event.attempt + 1} of ` +
            `${event.attempts}: ${printable(event.error.message)}`
      )
    }
    if (event._tag === "OutageChanged") return this.outage(event)
    if (event._tag === "UploadResumed" && event.bytes > 0) {
      return `Going on with ${printable(event.key)}: ${Format.bytes(event.bytes)} are stored already.`
    }
    if (event._tag === "UploadRestarted") {
      return this.style.yellow(`Beginning again with ${printable(event.key)}: ${restartReasons[event.reason]}.`)
    }
    if (event._tag === "UploadFinished" && event.outcome === "Failed" && this.failures <= shown) {
      this.failures += 1
      return this.style.red(
        this.failures > shown
          ? "Further failures are counted only."
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
          `The destination is away: ${printable(error?.message ?? "")} Waiting for it to be back.`
        )
      case "Back":
        return `The destination is back after ${time}: going on.`
      case "GivenUp":
        return this.style.yellow(`The destination has been away for ${time}: it is waited for no longer. See --outage.`)
    }
  }
}

const restartReasons: Record<(typeof UploadRestarted.Type)["reason"], string> = {
  SourceChanged: "it has changed since the last run",
  PartSizeChanged: "the part size is another than in the last run",
  ChecksumChanged: "the checksum is another than in the last run",
  SessionGone: "the destination has forgotten what the last run sent",
  PartsUnknown: "the destination does not tell what it has of the last run, which was aborted"
}
