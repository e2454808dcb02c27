/**
 * Removes what killed processes left at the destination, before the first file of the next run.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Destination from "../../Destination.js"
import { Transient } from "../../UploadError.js"
import { within } from "../calls/within.js"
import type { AnsweringJournal } from "../upload/answeringJournal.js"

export interface Orphans {
  /**
   * Removes the leftovers of other processes and records the name under which this process may leave something; once.
   */
  readonly sweep: Effect.Effect<void>
}

/** How long the removal of what one process left may take, in milliseconds. */
const sweepMillis = 60_000

const late = new Transient({ reason: "Stalled", detail: "The destination did not remove leftovers within a minute." })

export const make = (
  journal: AnsweringJournal,
  { leftovers }: Destination.Destination["Type"]
): Effect.Effect<Orphans | undefined, never, Scope.Scope> =>
  Effect.gen(function*() {
    if (leftovers === undefined) return undefined
    let owned = false
    let isSwept = false
    const turn = yield* Effect.makeSemaphore(1)
    const sweepOne = (owner: string) =>
      owner === leftovers.owner
        ? Effect.void
        : Effect.zipRight(
          within(Effect.disconnect(leftovers.sweep(owner)), sweepMillis, () => late),
          journal.disown(owner)
        )
    yield* Effect.addFinalizer(() => owned ? Effect.ignoreLogged(journal.disown(leftovers.owner)) : Effect.void)
    const sweep = Effect.gen(function*() {
      const owners = yield* journal.owners
      // A failure to remove leftovers is not a reason not to upload: they can be removed later.
      yield* Effect.forEach(owners, (owner) => Effect.ignoreLogged(sweepOne(owner)), { discard: true })
      yield* journal.own(leftovers.owner)
      owned = true
    })
    const once = Effect.suspend(() =>
      isSwept ? Effect.void : Effect.map(Effect.ignoreLogged(sweep), () => {
        isSwept = true
      })
    )
    // (`Effect.cached` would keep the interruption of whoever asks first, for all others.)
    return { sweep: Effect.suspend(() => isSwept ? Effect.void : turn.withPermits(1)(once)) }
  })
