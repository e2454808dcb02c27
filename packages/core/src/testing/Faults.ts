/**
 * Scripted faults: failures of a destination, a source, a journal or a whole process at chosen moments.
 *
 * A script is a list of faults. Each names where it strikes (a call to the destination, the source or the process), at
 * which occurrence (by key, by part, by number) and what happens. {@link make} returns wrappers that carry out the
 * script: around any destination, around files, and around a whole process, which a fault can kill. A fault strikes
 * once. A test whose scripted fault never struck has not tested what it claims, so check {@link Faults.allConsumed} at
 * its end.
 *
 * All waits are on `Clock`. Faults know nothing about any kind of storage: a server's answer is represented by the
 * `UploadError` that a driver makes of it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Destination } from "../Destination.js"
import type { Immediate } from "../Journal.js"
import type { SourceError } from "../UploadError.js"
import type { UploadFile } from "../UploadFile.js"
import { destination } from "./internal/faults/calls.js"
import type { Call, Kind, Point } from "./internal/faults/calls.js"
import * as faultJournal from "./internal/faults/journal.js"
import { Life, never } from "./internal/faults/life.js"
import { ChangingSource } from "./internal/faults/sources.js"
import type { Change } from "./internal/faults/sources.js"

export type {
  /**
   * An occasion at which a fault may strike.
   *
   * @since 0.1.0
   * @category models
   */
  Call,
  /**
   * The kind of failure.
   *
   * @since 0.1.0
   * @category models
   */
  Kind,
  /**
   * Where a fault strikes: at a call to the destination, when a source is read, or at a moment of a process. Each
   * request has two moments, before it reaches the destination and before its answer arrives, and so has each write of
   * the journal.
   *
   * @since 0.1.0
   * @category models
   */
  Point
}

/**
 * One failure that happens once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fault {
  readonly verb: Point
  readonly kind: Kind
  /** The key of the object that it affects. Defaults to any. */
  readonly key?: string | undefined
  /** The part that it affects, from 1. Defaults to any. */
  readonly part?: number | undefined
  /**
   * Which matching occasion it strikes, from 1; if another fault strikes there, the next one. Defaults to the first.
   */
  readonly nth?: number | undefined
}

/**
 * A fault that has struck.
 *
 * @since 0.1.0
 * @category models
 */
export interface Consumed {
  readonly fault: Fault
  readonly call: Call
  /** The clock time in milliseconds. */
  readonly at: number
}

/**
 * Some faults never struck.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotConsumed extends Data.TaggedError("NotConsumed")<{ readonly faults: ReadonlyArray<Fault> }> {
  /** @since 0.1.0 */
  override get message(): string {
    return `These faults were scripted but never struck: ${this.faults.map(render).join("; ")}.`
  }
}

/**
 * The outside world of a process that can be killed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Process {
  /** A destination as the process sees it. */
  readonly destination: (destination: Destination["Type"]) => Destination["Type"]
  /**
   * A journal as the process sees it. Parts and ends are written 100 ms after they are noted, or with the next write;
   * anything not yet written is lost when the process is killed.
   */
  readonly journal: (written: Immediate) => Effect.Effect<Immediate>
  /** Whether the process has been killed; anything it still reports is ignored. */
  readonly isKilled: () => boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Faults {
  /** Wraps a destination with all faults except those of processes. */
  readonly destination: (destination: Destination["Type"]) => Destination["Type"]
  /**
   * Wraps a file so that its source may change; the file is the one of this moment. Files without a fingerprint or a
   * size cannot change and are returned as they are. Files with the same key are the same file.
   */
  readonly file: (file: UploadFile) => UploadFile
  /** The contents that a file has had, in order. They are read again. */
  readonly versions: (key: string) => Effect.Effect<ReadonlyArray<Uint8Array>, SourceError>
  /** The number of source reads in progress. */
  readonly openSources: () => number
  /**
   * Runs a program as a process and returns `None` if a fault has killed it. A killed process stops where it is: its
   * requests are cut, its timers never wake, it cleans nothing up, and nothing more is heard of it.
   */
  readonly process: <A, E, R>(
    program: (process: Process) => Effect.Effect<A, E, R>
  ) => Effect.Effect<Option.Option<A>, E, R>
  /** The faults that have struck, in order. */
  readonly consumed: ReadonlyArray<Consumed>
  /** The faults that have not struck. */
  readonly remaining: ReadonlyArray<Fault>
  /** Disables all remaining faults. */
  readonly lift: () => void
  /** Fails if a fault has not struck. */
  readonly allConsumed: Effect.Effect<void, NotConsumed>
}

/**
 * A fault in a few words, such as `uploadPart a.bin #2: AnswerLost`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const render = ({ key, kind, nth, part, verb }: Fault): string =>
  `${verb}${key === undefined ? "" : ` ${key}`}${part === undefined ? "" : ` part ${part}`}` +
  `${nth === undefined ? "" : ` #${nth}`}: ${kind._tag}`

/**
 * Makes the faults of a script.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Destination, UploadFile, Uploader } from "@sluice/core"
 * import * as Simulated from "@sluice/core/destinations/Simulated"
 * import * as Faults from "@sluice/core/testing/Faults"
 * import * as VirtualClock from "@sluice/core/testing/VirtualClock"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const { destination } = yield* Simulated.make({ observe: true })
 *   const faults = Faults.make([{ verb: "put", key: "a.txt", kind: { _tag: "AnswerLost" } }])
 *   const uploader = yield* Uploader.make().pipe(
 *     Effect.provideService(Destination.Destination, faults.destination(destination))
 *   )
 *   const report = yield* uploader.uploadAll([UploadFile.fromText("a.txt", "first")])
 *   assert.strictEqual(report.files.uploaded, 1)
 *   assert.strictEqual(report.retries, 1)
 *   yield* faults.allConsumed
 * })
 *
 * Effect.runPromise(VirtualClock.run(Effect.scoped(program)))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (script: ReadonlyArray<Fault>): Faults => {
  const consumed: Array<Consumed> = []
  const sources = new Map<string, ChangingSource>()
  const waiting = script.map((fault) => ({ fault, seen: 0 }))
  let isLifted = false

  /** The fault that strikes now, if any; a fault that comes too late for this occasion waits for the next. */
  const strike = (call: Call, clock: Clock.Clock, fits: (kind: Kind) => boolean = () => true): Kind | undefined => {
    if (isLifted) return undefined
    let struck: (typeof waiting)[number] | undefined
    for (const one of waiting) {
      const { key, kind, nth, part, verb } = one.fault
      if (verb !== call.verb || (key !== undefined && key !== call.key)) continue
      if ((part !== undefined && part !== call.part) || !fits(kind)) continue
      one.seen += 1
      if (struck === undefined && one.seen >= (nth ?? 1)) struck = one
    }
    if (struck === undefined) return undefined
    waiting.splice(waiting.indexOf(struck), 1)
    consumed.push({ fault: struck.fault, call, at: clock.unsafeCurrentTimeMillis() })
    return struck.fault.kind
  }

  const moment = (life: Life | undefined, call: Call, clock: Clock.Clock): boolean => {
    if (life === undefined || life.isDead) return false
    if (strike({ ...call, verb: "process" }, clock, ({ _tag }) => _tag === "Killed") === undefined) return false
    life.kill()
    return true
  }

  const openSources = () => {
    let open = 0
    for (const source of sources.values()) open += source.open
    return open
  }

  const process = <A, E, R>(program: (process: Process) => Effect.Effect<A, E, R>) =>
    Clock.clockWith((clock) => {
      const life = new Life(clock)
      const journal = (written: Immediate) => {
        const call: Call = { verb: "process", key: undefined, part: undefined }
        let torn = 0
        const write = <E>(effect: Effect.Effect<void, E>): Effect.Effect<void, E> =>
          Effect.suspend(() => {
            if (life.isDead) return never
            const tear = strike(call, clock, ({ _tag }) => _tag === "JournalTorn")
            if (tear?._tag === "JournalTorn") {
              torn = tear.part
              life.kill()
              return never
            }
            if (moment(life, call, clock)) return never
            return Effect.flatMap(effect, () => moment(life, call, clock) ? never : Effect.void)
          })
        return Effect.map(faultJournal.make(written, clock, { isDead: () => life.isDead, write }), (made) => {
          life.onDeath.push(() => made.tear(torn))
          return made.journal
        })
      }
      const running = program({
        destination: (inner) => destination(inner, { life, strike, moment }),
        journal,
        isKilled: () => life.isDead
      })
      return Effect.flatMap(Effect.forkDaemon(Effect.withClock(running, life.mortalClock)), (fiber) =>
        Effect.raceFirst(
          Effect.map(Fiber.join(fiber), Option.some),
          Effect.as(life.dies, Option.none<A>())
        ).pipe(
          Effect.onInterrupt(() => life.isDead ? Effect.void : Fiber.interrupt(fiber)),
          Effect.tap(() => life.silence)
        ))
    })

  return {
    destination: (inner) => destination(inner, { life: undefined, strike, moment }),
    file: (file) => {
      const size = file.size ?? file.source.size
      if (file.fingerprint === undefined || size === undefined) return file
      const source = sources.get(file.key) ?? new ChangingSource(file, file.fingerprint, size, (clock) => {
        const kind = strike({ verb: "source", key: file.key, part: undefined }, clock)
        return kind !== undefined && isChange(kind) ? kind : undefined
      })
      sources.set(file.key, source)
      return source.list()
    },
    versions: (key) =>
      Effect.forEach(sources.get(key)?.versions ?? [], ({ bytes, size }) => bytes({ offset: 0, length: size })),
    openSources,
    process,
    consumed,
    get remaining() {
      return waiting.map(({ fault }) => fault)
    },
    lift: () => {
      isLifted = true
    },
    allConsumed: Effect.suspend(() =>
      waiting.length === 0 ? Effect.void : Effect.fail(new NotConsumed({ faults: waiting.map(({ fault }) => fault) }))
    )
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const isChange = (kind: Kind): kind is Change => kind._tag.startsWith("Source")
