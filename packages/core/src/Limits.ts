/**
 * The three limits of an uploader, adjustable while it runs: uploads in flight, starts per second, bytes per second.
 *
 * A {@link Controller} is a program that adjusts the limits while uploads run, from what it observes of them. Adaptive
 * strategies are controllers.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as ByteSize from "./ByteSize.js"
import * as LiveLimits from "./internal/limits/liveLimits.js"
import * as Decode from "./internal/values/decode.js"

/**
 * The identifier of limits.
 *
 * @since 0.1.0
 * @category symbols
 */
export const TypeId: unique symbol = Symbol.for("@sluice/core/Limits")

/**
 * The type of the identifier.
 *
 * @since 0.1.0
 * @category symbols
 */
export type TypeId = typeof TypeId

/**
 * The values of the limits. `Infinity` means no limit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /** Uploads in flight; at least 1, or 0 while they are paused. */
  readonly concurrency: number
  /** Starts of attempts per second; more than 0, or 0 while they are paused. */
  readonly uploadsPerSecond: number
  /** Bytes per second across all uploads; more than 0, or 0 while they are paused. */
  readonly bytesPerSecond: number
}

/**
 * The limits of an uploader, `uploader.limits`, or shared ones: see {@link shared}.
 *
 * @example
 * ```ts
 * import { Uploader } from "@sluice/core"
 * import { Effect } from "effect"
 *
 * // Runs an effect while no upload starts: those in flight end, and the others wait.
 * const quietly = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
 *   Effect.gen(function*() {
 *     const { limits } = yield* Uploader.Uploader
 *     const { concurrency } = yield* limits.current
 *     return yield* Effect.acquireUseRelease(
 *       limits.set({ concurrency: 0 }, "quiet"),
 *       () => effect,
 *       () => limits.set({ concurrency }, "no longer quiet")
 *     )
 *   })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  readonly [TypeId]: TypeId
  /** The current values. */
  readonly current: Effect.Effect<Settings>
  /** Uploads in flight now: the permits of `concurrency` that are taken. */
  readonly inUse: Effect.Effect<number>
  /**
   * Changes some limits, with a short reason in plain words. A raised limit applies at once; a lowered one is reached
   * as attempts in flight end. Setting a limit to 0 pauses: whatever it holds up waits until the limit is raised again
   * by a caller, not by a strategy's controller. `NaN` and negative numbers die with a `RangeError` and change nothing.
   */
  readonly set: (settings: Partial<Settings>, reason?: string) => Effect.Effect<void>
  /** The reason for the last change, if one was given. */
  readonly reason: Effect.Effect<string | undefined>
}

/**
 * What a controller learns about one attempt that has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observation {
  readonly outcome: "Succeeded" | "Throttled" | "Failed"
  /** From the start of the attempt to the destination's answer. */
  readonly durationMillis: number
  /** Bytes that the destination acknowledged. */
  readonly bytes: number
  /** Attempts in flight when it ended, including this one. */
  readonly inFlight: number
  /** How long the destination asked to wait, in milliseconds, if it throttled and said so. */
  readonly retryAfterMillis?: number | undefined
}

/**
 * A program that adjusts the limits. `start` runs once per uploader, in its scope, and returns a function to call after
 * each attempt; that function must not block.
 *
 * @since 0.1.0
 * @category models
 */
export interface Controller {
  readonly name: string
  readonly start: (limits: Limits) => Effect.Effect<(observation: Observation) => void, never, Scope.Scope>
}

/**
 * Makes limits from `settings`, which a strategy has, too; throws a `RangeError` for an invalid limit. `changed` is
 * called after each change with the new values and the reason. Controllers of a strategy do not run: for these, see
 * {@link shared}.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  settings: Settings,
  changed?: (settings: Settings, reason: string | undefined) => void
): Limits => branded({ values: settings, changed })

/**
 * The options of {@link shared}.
 *
 * @since 0.1.0
 * @category models
 */
export interface SharedOptions {
  /**
   * The limits over all uploads, and the controllers that adjust them. Any `Strategy` fits. Defaults to no limits.
   */
  readonly strategy?: (Settings & { readonly controllers: ReadonlyArray<Controller> }) | undefined
  /** How much memory all uploads together may use for bytes. Defaults to no limit. */
  readonly memory?: ByteSize.ByteSizeInput | undefined
  /** Limits that these are within. Defaults to none. */
  readonly within?: Limits | undefined
}

/**
 * Makes limits that several uploaders share: pass them as `within` to each. The uploads of all these uploaders together
 * keep to them, and those of each one also to its own. Nothing is held while it waits for the other, and the uploaders
 * take turns, so that one with many files does not hold up the others. Limits of 0 pause them all.
 *
 * A strategy's controllers observe the attempts of all uploaders, and run in the scope. Dies with a `RangeError` if an
 * option is invalid.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Limits, Strategy, Uploader, UploadFile } from "@sluice/core"
 * import * as Simulated from "@sluice/core/destinations/Simulated"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   // 64 uploads and 256 MiB in all, of which each tenant may use 4 and 64 MiB.
 *   const all = yield* Limits.shared({ strategy: Strategy.workerPool({ workers: 64 }), memory: "256 MiB" })
 *   const forTenant = Uploader.make({ within: all, strategy: Strategy.workerPool({ workers: 4 }), memory: "64 MiB" })
 *   const [first, second] = yield* Effect.all([forTenant, forTenant])
 *   const reports = yield* Effect.all([
 *     first.uploadAll([UploadFile.fromText("first/a.txt", "a")]),
 *     second.uploadAll([UploadFile.fromText("second/a.txt", "a")])
 *   ], { concurrency: 2 })
 *   assert.deepStrictEqual(reports.map(({ files }) => files.uploaded), [1, 1])
 * })
 *
 * Effect.runPromise(Effect.scoped(Effect.provide(program, Simulated.layer())))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const shared = (options: SharedOptions = {}): Effect.Effect<Limits, never, Scope.Scope> =>
  Effect.gen(function*() {
    const strategy = options.strategy ?? unlimited
    const limits = branded({
      values: LiveLimits.valuesOf(strategy),
      memory: options.memory === undefined ? undefined : Decode.size("memory", options.memory),
      whole: options.within as LiveLimits.LiveLimits<Observation> | undefined
    })
    for (const controller of strategy.controllers) {
      // Its fibers inherit this: made in an uninterruptible region, they could not be interrupted.
      limits.observers.push(yield* Effect.interruptible(controller.start(forController(limits))))
    }
    return limits
  })

/**
 * The same limits for a controller, which cannot raise a limit that a caller has paused.
 *
 * @since 0.1.0
 * @category combinators
 */
export const forController = (limits: Limits): Limits => ({
  ...limits,
  set: (changes, reason) =>
    Effect.flatMap(limits.current, (now) => {
      const { bytesPerSecond, concurrency, uploadsPerSecond } = changes
      const left = {
        ...(now.concurrency > 0 && concurrency !== undefined && { concurrency }),
        ...(now.uploadsPerSecond > 0 && uploadsPerSecond !== undefined && { uploadsPerSecond }),
        ...(now.bytesPerSecond > 0 && bytesPerSecond !== undefined && { bytesPerSecond })
      }
      return Object.keys(left).length === 0 ? Effect.void : limits.set(left, reason)
    })
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const branded = (
  options: LiveLimits.MakeOptions<Observation>
): Limits & LiveLimits.LiveLimits<Observation> => ({ ...LiveLimits.make(options), [TypeId]: TypeId })

const unlimited = { concurrency: Infinity, uploadsPerSecond: Infinity, bytesPerSecond: Infinity, controllers: [] }
