/**
 * The number of source files open at once in this process.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as ByteSource from "../../ByteSource.js"
import * as InFlight from "../limits/inFlight.js"
import * as Descriptors from "./descriptorsNode.js"

/** The most source files open at once in the whole process; fewer if it may not have many open. */
export const maxOpenFiles = 256

let budget: InFlight.InFlight | undefined = undefined

/**
 * A quarter of what may be open: the rest is for files being written, connections, and files open only for a moment.
 */
export const openFiles = (): InFlight.InFlight =>
  budget ??= InFlight.make(Math.max(1, Math.min(maxOpenFiles, Math.floor(Descriptors.leftToOpen() / 4))))

/** Takes a permit for an open file, until the scope ends. */
export const holdPermit = (watch: ByteSource.Watch | undefined): Effect.Effect<void, never, Scope.Scope> =>
  Effect.suspend(() => {
    let held = false
    const turn = openFiles().take(1, () => held = true)
    return Effect.zipRight(
      Effect.addFinalizer(() =>
        Effect.sync(() => {
          if (held) openFiles().unsafeRelease(1)
        })
      ),
      watch === undefined ? turn : watch.unwatched(turn)
    )
  })
