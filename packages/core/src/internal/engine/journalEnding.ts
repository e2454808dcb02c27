/**
 * When a journal may forget what is finished: at the end of a run in which everything succeeded, if nothing else goes on.
 * To the journal, all single uploads of an uploader together are one run, which ends with the uploader.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as UploadReport from "../../UploadReport.js"
import type { UploadResult } from "../../UploadResult.js"
import type { AnsweringJournal } from "../upload/answeringJournal.js"

export class JournalEnding {
  private readonly journal: AnsweringJournal | undefined
  private readonly runs: ReadonlySet<unknown>
  /** Whether a run was incomplete. */
  private incomplete = false
  /** What has come of single uploads. */
  private singles: "None" | "Complete" | "Incomplete" = "None"

  constructor(journal: AnsweringJournal | undefined, runs: ReadonlySet<unknown>) {
    this.journal = journal
    this.runs = runs
  }

  /** A single upload has ended; without a result if it was interrupted. */
  uploaded(result: UploadResult | undefined): void {
    const isComplete = (result?._tag === "Uploaded" || result?._tag === "Skipped") && this.singles !== "Incomplete"
    this.singles = isComplete ? "Complete" : "Incomplete"
  }

  runEnded(report: UploadReport.UploadReport): Effect.Effect<void> {
    if (!UploadReport.isComplete(report)) this.incomplete = true
    return this.singles !== "None" || this.runs.size > 1 || !UploadReport.isComplete(report)
      ? Effect.void
      : this.forget
  }

  uploaderEnded(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return this.singles === "Complete" && !this.incomplete && this.runs.size === 0 && Exit.isSuccess(exit)
      ? this.forget
      : Effect.void
  }

  private get forget(): Effect.Effect<void> {
    return this.journal === undefined ? Effect.void : Effect.ignoreLogged(this.journal.runEnded)
  }
}
