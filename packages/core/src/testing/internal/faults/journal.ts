/**
 * A simulated journal that, when its process is killed, loses the entries that have not been written yet.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Journal from "../../../Journal.js"

type Port = Journal.Immediate

/** A guard that can kill a process at any write to its journal. */
export interface Guard {
  readonly isDead: () => boolean
  /** Makes a write unless the process is killed before or during it; returns unless the process is killed after it. */
  readonly write: <E>(write: Effect.Effect<void, E>) => Effect.Effect<void, E>
}

/**
 * A journal as one process sees it, on top of what is written: notes are written after `noteMillis`, or with the next
 * write.
 */
export interface ProcessJournal {
  readonly journal: Port
  /** Writes the first of the unwritten notes, as a torn write does. */
  readonly tear: (part: number) => void
}

/** How long a note may wait before it is written, in milliseconds. */
const noteMillis = 100

export const make = Effect.fnUntraced(
  function*(written: Port, clock: Clock.Clock, guard: Guard): Effect.fn.Return<ProcessJournal> {
    const own = yield* Journal.makeMemory
    for (const session of yield* written.sessions) {
      yield* Effect.ignore(own.begin(session))
      if (session.uploadId !== undefined) yield* Effect.ignore(own.created(session.key, session.uploadId))
      for (const part of session.parts.values()) own.partStored(session.key, part)
    }
    let forgotten = false
    let notes: Array<{ readonly at: number; readonly write: () => void }> = []
    const writeAll = () => {
      for (const { write } of notes) write()
      notes = []
    }
    const writeOld = () => {
      const now = clock.unsafeCurrentTimeMillis()
      while (notes.length > 0 && now - notes[0]!.at >= noteMillis) notes.shift()!.write()
    }
    const note = (now: () => void, later: () => void) => {
      if (guard.isDead()) return
      writeOld()
      now()
      notes.push({ at: clock.unsafeCurrentTimeMillis(), write: later })
    }
    const write = <E>(effect: (to: Port) => Effect.Effect<void, E>): Effect.Effect<void, E> =>
      guard.write(Effect.suspend(() => {
        writeAll()
        return Effect.zipRight(effect(own), effect(written))
      }))
    const journal: Port = {
      session: (key) => own.session(key),
      sessions: own.sessions,
      begin: (intent) => write((to) => to.begin(intent)),
      created: (key, uploadId) => write((to) => to.created(key, uploadId)),
      partStored: (key, part) => note(() => own.partStored(key, part), () => written.partStored(key, part)),
      flush: write((to) => to.flush),
      ended: (key) => note(() => own.ended(key), () => written.ended(key)),
      finished: (file) => note(() => own.finished(file), () => written.finished(file)),
      wasFinished: (file) => own.wasFinished(file) ?? (forgotten ? undefined : written.wasFinished(file)),
      runEnded: write((to) => {
        forgotten = true
        return to.runEnded
      }),
      owners: written.owners,
      own: (owner) => write((to) => to.own(owner)),
      disown: (owner) => write((to) => to.disown(owner))
    }
    const tear = (part: number) => {
      writeOld()
      for (const { write } of notes.splice(0, Math.floor(notes.length * part))) write()
    }
    return { journal, tear }
  }
)
