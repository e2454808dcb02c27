/**
 * What was sent again after a kill, reckoned from what the processes wrote down: the bytes that the destination had
 * stored, by what was late, and those that were on their way.
 */
import type { Event } from "./Protocol.js"

/** Bytes that the destination had, and that were sent again. */
export interface Lost {
  readonly key: string
  readonly bytes: number
  /** How long they had been stored when the process was killed, in milliseconds. */
  readonly ageMillis: number
  /** Whether they completed an object that the destination had assembled without its answer arriving. */
  readonly committed: boolean
}

interface Stretch {
  readonly key: string
  readonly from: number
  readonly to: number
  readonly total: number | undefined
  /** `undefined` while it is on its way. */
  endedAt: number | undefined
  /** When the process that sent it died. */
  killedAt: number | undefined
}

const overlap = (a: Stretch, b: Stretch): number =>
  a.key === b.key ? Math.max(0, Math.min(a.to, b.to) - Math.max(a.from, b.from)) : 0

/** The bytes of all files of one scenario. */
export class Sent {
  private before: Array<Stretch> = []
  private readonly committed = new Set<string>()

  /** The content is another one: nothing of it was ever sent. */
  changed(key: string): void {
    this.before = this.before.filter((stretch) => stretch.key !== key)
    this.committed.delete(key)
  }

  /**
   * Takes the records of a process, and returns what it sent again; `inOrder` if the last part completes the object.
   * Bytes of a session that was later given up count too.
   */
  process(events: ReadonlyArray<Event>, endedAt: number, inOrder: boolean): {
    readonly lost: ReadonlyArray<Lost>
    /** Bytes that were on their way at a kill, and were sent again. */
    readonly again: number
    /** Bytes that were on their way when this process ended. */
    readonly inFlight: number
  } {
    const mine: Array<Stretch> = []
    const lost: Array<Lost> = []
    let again = 0
    for (const { at, key, offset = 0, phase, size, total, what } of events) {
      if (what === "run") {
        // Everything was uploaded: the next process starts over.
        this.before = []
        this.committed.clear()
        mine.length = 0
      }
      if (key === undefined) continue
      if (what === "complete" && phase === "end") this.committed.add(key)
      if ((what !== "put" && what !== "part") || size === undefined) continue
      if (phase === "start") {
        const stretch: Stretch = {
          key,
          from: offset,
          to: offset + size,
          total,
          endedAt: undefined,
          killedAt: undefined
        }
        for (const earlier of this.before) {
          const bytes = overlap(stretch, earlier)
          if (bytes === 0) continue
          if (earlier.endedAt === undefined) again += bytes
          else {
            lost.push({
              key,
              bytes,
              ageMillis: earlier.killedAt! - earlier.endedAt,
              committed: this.committed.has(key)
            })
          }
        }
        mine.push(stretch)
        continue
      }
      const index = mine.findIndex((one) => one.key === key && one.from === offset && one.endedAt === undefined)
      if (index < 0) continue
      if (phase === "fail") mine.splice(index, 1)
      else {
        mine[index]!.endedAt = at
        if (inOrder && what === "part" && offset + size === total) this.committed.add(key)
      }
    }
    for (const stretch of mine) {
      stretch.killedAt = endedAt
      // Its answer was not heard; the server may have taken all of it.
      if (inOrder && stretch.endedAt === undefined && stretch.to === stretch.total) this.committed.add(stretch.key)
    }
    // Bytes that were sent twice are counted once: from now on this process's state applies.
    this.before = [...this.before.filter((one) => mine.every((other) => overlap(one, other) === 0)), ...mine]
    const inFlight = mine.filter((one) => one.endedAt === undefined).reduce((sum, one) => sum + one.to - one.from, 0)
    return { lost, again, inFlight }
  }
}
