/**
 * Collects the unfinished files of a run in a manifest: those that failed, were interrupted, or were not started.
 *
 * When a run is stopped early, the rest of the list is also read into the manifest, so that the manifest is complete,
 * unless the run is told to stop at once.
 */
import type * as UploadList from "@sluice/core/UploadList"
import type { UploadResult } from "@sluice/core/UploadResult"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CliError } from "../CliError.js"
import * as Manifest from "../sources/Manifest.js"
import type { OwnFiles } from "../sources/OwnFiles.js"
import * as Remainder from "../sources/Remainder.js"
import type { Sources } from "../sources/Sources.js"

export interface Undone {
  /** The list, for the run. */
  readonly items: Remainder.Items
  /** Records a result of the run. */
  readonly note: (result: UploadResult) => Effect.Effect<void>
  /** Stops reading the list. */
  readonly stop: Effect.Effect<void>
  /** After the run: gives the manifest its name. */
  readonly finish: Effect.Effect<Rest, CliError>
}

/** Files that were not started. */
export interface Rest {
  readonly notStarted: number
  /** Whether these are all, because the list was read to its end. */
  readonly listed: boolean
}

/** Collects the unfinished files of a list in the file of that name. */
export const make = Effect.fnUntraced(
  function*(
    file: string,
    sources: Sources,
    own: Pick<OwnFiles, "addOpen">
  ): Effect.fn.Return<Undone, CliError, Scope.Scope> {
    const manifest = yield* Manifest.write(file, sources.locations, own)
    const remainder = yield* Remainder.follow(sources.items)
    const stopped = yield* Deferred.make<void>()
    return {
      items: remainder.items,
      note: (result) => {
        remainder.note(result)
        return manifest.add(result)
      },
      stop: Effect.asVoid(Deferred.succeed(stopped, undefined)),
      finish: Effect.gen(function*() {
        let notStarted = 0
        const add = (item: UploadList.Item) => {
          notStarted += 1
          return manifest.addNotStarted(item)
        }
        yield* Effect.forEach(remainder.found(), add, { discard: true })
        if (!remainder.listed()) {
          yield* Effect.raceFirst(Stream.runForEach(remainder.unlisted, add), Deferred.await(stopped))
        }
        yield* manifest.commit
        return { notStarted, listed: remainder.listed() }
      })
    }
  }
)
