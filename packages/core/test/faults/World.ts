/**
 * One seed: files, a network and at least twenty faults, uploaded by processes that are interrupted and killed, until
 * one may end by itself; and what must hold then.
 */
import { Journal, RetryPolicy, Strategy, UploadReport } from "@sluice/core"
import type { Destination } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as Faults from "@sluice/core/testing/Faults"
import * as History from "@sluice/core/testing/History"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import * as RetryBudget from "@sluice/core/unstable/RetryBudget"
import { Cause, Effect, Exit, GlobalValue, Option, Random, Supervisor } from "effect"
import type { Context, Fiber, Scope } from "effect"
import * as Run from "../../src/internal/engine/run.js"
import * as EngineLimits from "../../src/internal/limits/engineLimits.js"
import { answering } from "../../src/internal/upload/answeringJournal.js"
import type { Env } from "../../src/internal/upload/env.js"
import { Outage } from "../../src/internal/upload/outage.js"
import * as Dice from "../support/Dice.js"
import { withOwnIds } from "./OwnIds.js"
import * as Script from "./Script.js"
import * as Shape from "./Shape.js"

export interface Outcome {
  readonly seed: number
  readonly violations: ReadonlyArray<History.Violation>
  /** What struck, as `uploadPart AnswerLost`. */
  readonly consumed: ReadonlyArray<string>
  readonly remaining: ReadonlyArray<string>
  readonly processes: number
  readonly kills: number
  readonly uploads: number
  readonly requests: number
  readonly strategy: string
  /** The whole history, a line for each operation and event. */
  readonly story: () => ReadonlyArray<string>
}

const KiB = 1024

/** Counts the fibers that are alive. */
class Census extends Supervisor.AbstractSupervisor<number> {
  alive = 0
  override get value() {
    return Effect.sync(() => this.alive)
  }
  override onStart<A, E, R>(
    _context: Context.Context<R>,
    _effect: Effect.Effect<A, E, R>,
    _parent: Option.Option<Fiber.RuntimeFiber<unknown, unknown>>,
    _fiber: Fiber.RuntimeFiber<A, E>
  ): void {
    this.alive += 1
  }
  override onEnd<A, E>(_exit: Exit.Exit<A, E>, _fiber: Fiber.RuntimeFiber<A, E>): void {
    this.alive -= 1
  }
}

const drawStrategy = (dice: Dice.Dice): Strategy.Strategy => {
  const pool = Strategy.workerPool({ workers: dice.between(1, 6) })
  const rated = Strategy.rateLimited({ uploadsPerSecond: dice.one([7, 30, 100, 333]) })
  const narrow = Strategy.bandwidth({ bytesPerSecond: dice.one([40, 200, 1000]) * KiB })
  return dice.one([
    () => Strategy.unlimited,
    () => pool,
    () => pool,
    () => rated,
    () => Strategy.adaptive({ min: 1, max: dice.between(2, 16), initial: dice.between(1, 4) }),
    () => Strategy.adaptive({ max: dice.between(2, 16) }),
    () => Strategy.adaptiveRate({ base: 20 }),
    () => Strategy.stack(pool, narrow),
    () => Strategy.stack(pool, rated),
    () => Strategy.stack(pool, rated, narrow)
  ])()
}

interface Setup {
  readonly strategy: Strategy.Strategy
  readonly memory: number
  readonly parts: Env["parts"]
}

/** What `Uploader.make` makes, with all of its insides at hand. */
const contextOf = (
  { memory, parts, strategy }: Setup,
  destination: Destination.Destination["Type"],
  journal: ReturnType<typeof answering> | undefined
): Effect.Effect<Env, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runs: Env["runs"] = new Set()
    const limits = EngineLimits.make({
      values: strategy,
      memory,
      changed: (settings, reason) => {
        for (const run of runs) run.limitsChanged(settings, reason)
      }
    })
    const observers = yield* Effect.forEach(strategy.controllers, (controller) => controller.start(limits))
    const retry = RetryPolicy.make()
    const budget = RetryBudget.make(retry)
    return {
      runs,
      destination,
      limits,
      retry,
      budget,
      outage: new Outage({
        policy: retry,
        budget,
        changed: (change) => {
          for (const run of runs) run.outageChanged(change)
        }
      }),
      memory: limits.memory,
      parts,
      tracing: "run",
      journal,
      prepare: Effect.void,
      conclude: (report) =>
        journal === undefined || runs.size > 1 || !UploadReport.isComplete(report)
          ? Effect.void
          : Effect.ignoreLogged(journal.runEnded),
      observe: (observation) => {
        for (const observe of observers) observe(observation)
      }
    }
  })

const live = (seed: number): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const dice = Dice.make(seed)
    const inOrder = dice.chance(0.15)
    const ownIds = dice.chance(0.5)
    const hasJournal = dice.chance(0.75)
    const checksum = dice.chance(0.5) ? dice.one(["crc32", "crc32c"] as const) : undefined
    const network = yield* Simulated.make({
      observe: true,
      seed,
      requestLatency: dice.one([0, 1, 5, 40]),
      ...(dice.chance(0.5) && { bytesPerSecond: dice.one([50, 300, 5_000]) * KiB }),
      ...(dice.chance(0.2) && { sharedBytesPerSecond: dice.one([200, 2_000]) * KiB }),
      ...(dice.chance(0.2) && { maxInFlight: 12, ...(dice.chance(0.5) && { retryAfter: 500 }) }),
      parts: { inOrder }
    })
    const faults = Faults.make(Script.draw(dice, inOrder))
    const history = History.make()
    const storage = history.beneath(ownIds ? withOwnIds(network.destination) : network.destination)
    const disk = yield* Journal.makeMemory
    const setup: Setup = {
      strategy: drawStrategy(dice),
      memory: dice.one([1, 4 * KiB, 20 * KiB, 8 * KiB * KiB]),
      parts: {
        threshold: dice.one([0, 1_000]),
        partSize: dice.between(600, 2_000),
        partConcurrency: dice.one([1, 2, Infinity]),
        checksum
      }
    }
    const onSourceChange = dice.one(["fail", "retry", "skip"] as const)
    const shapes: Array<Shape.Shape> = []
    const done = new Set<string>()
    const leaks: Array<History.Violation> = []
    let kills = 0
    let uploads = 0

    const upload = (listed: ReadonlyArray<Shape.Shape>, interruptedAfter: number | undefined, setup: Setup) =>
      Effect.gen(function*() {
        const recorder = history.begin({ journal: hasJournal, ownIds })
        const onInterrupt = dice.one(["abort", "keep"] as const)
        const census = new Census()
        const files = listed.map((shape) => faults.file(Shape.fileOf(shape)))
        const outcome = yield* faults.process((process) =>
          Effect.scoped(Effect.gen(function*() {
            const journal = hasJournal ? answering(recorder.journal(yield* process.journal(disk))) : undefined
            const destination = recorder.destination(process.destination(storage))
            const context = yield* contextOf(setup, destination, journal)
            const run = yield* Run.make(context, files, {
              paused: true,
              onInterrupt,
              onSourceChange,
              onEvent: (event) => process.isKilled() ? Effect.void : recorder.onEvent(event),
              onResult: (result) => process.isKilled() ? Effect.void : recorder.onResult(result)
            })
            yield* recorder.watch({
              limits: context.limits,
              progress: run.currentProgress,
              memory: context.memory,
              object: (key) => network.network.objects.get(key)?.bytes
            })
            yield* run.resume
            if (interruptedAfter !== undefined) {
              yield* Effect.forkScoped(Effect.zipRight(Effect.sleep(interruptedAfter), run.interrupt))
            }
            return yield* run.report
          })).pipe(
            Effect.tap(() => recorder.returned({ "sources open": faults.openSources() })),
            Effect.supervised(census)
          )
        ).pipe(
          Effect.disconnect,
          Effect.timeoutTo({
            duration: "2 days",
            onSuccess: (ended) => ended,
            onTimeout: () => {
              leaks.push({ promise: "leaked", message: `process ${recorder.process.number} does not come to its end` })
              return Option.none<UploadReport.UploadReport>()
            }
          })
        )
        if (Option.isNone(outcome)) {
          kills += 1
          yield* recorder.killed
        }
        for (const { result } of recorder.process.results) {
          if (result._tag !== "Uploaded" && result._tag !== "Skipped") continue
          uploads += 1
          done.add(result.file.key)
        }
        return { outcome, census, recorder }
      })

    const ran: Array<Effect.Effect.Success<ReturnType<typeof upload>>> = []
    for (let round = 1; round <= 10; round++) {
      if (round > 1 && !faults.remaining.some(Script.isCommon)) break
      const batch = [
        Shape.draw(dice, `${round}-large`, "disk", true),
        ...Array.from({ length: dice.between(2, 3) }, (_, i) =>
          Shape.draw(dice, `${round}-${i}`, undefined, dice.chance(0.3)))
      ]
      const again = shapes.filter(({ key }) =>
        !done.has(key) || dice.chance(0.05)
      )
      shapes.push(...batch)
      const interruptedAfter = dice.chance(0.3) ? dice.between(0, 3_000) * dice.fraction() : undefined
      ran.push(yield* upload([...again, ...batch], interruptedAfter, setup))
      if (dice.chance(0.3)) yield* Effect.sleep(dice.between(0, 60_000))
    }

    // Nothing is wrong any more, and what was late has come.
    faults.lift()
    yield* Effect.sleep("2 hours")
    const last = yield* upload(shapes, undefined, { ...setup, strategy: Strategy.workerPool({ workers: 2 }) })
    ran.push(last)
    yield* Effect.sleep("2 hours")

    for (const { census, outcome, recorder } of ran) {
      if (Option.isSome(outcome) && census.alive !== 0) {
        leaks.push({
          promise: "leaked",
          message: `${census.alive} fibers are left of process ${recorder.process.number}`
        })
      }
    }
    const requests = yield* network.network.inFlight
    if (requests !== 0) leaks.push({ promise: "leaked", message: `${requests} requests are left at the network` })
    const objects = new Map(Array.from(network.network.objects, ([key, { bytes }]) => [key, bytes]))
    for (const shape of shapes) {
      const { key } = shape
      const versions = shape.kind === "disk" ? yield* Effect.orDie(faults.versions(key)) : [Shape.bytesOf(shape)]
      history.source(key, versions)
      const result = last.recorder.process.results.find(({ result }) => result.file.key === key)?.result
      const told = result === undefined
        ? "nothing"
        : result._tag === "Failed"
        ? `${result.error._tag}: ${result.error.message}`
        : result._tag
      const object = objects.get(key)
      const now = versions[versions.length - 1]
      if (told !== "Uploaded" && told !== "Skipped") {
        leaks.push({ promise: "lost", message: `${key} is not uploaded when nothing is wrong any more: ${told}` })
      } else if (object === undefined || now === undefined || Buffer.compare(object, now) !== 0) {
        leaks.push({ promise: "lost", message: `${key} is ${told}, and is not what its source is now` })
      }
    }
    const open = (yield* network.network.sessions).map(({ key, uploadId }) => ({
      key,
      uploadId: ownIds
        ? history.storage.find((one) => one.verb === "create" && one.uploadId === uploadId)?.token ?? uploadId
        : uploadId
    }))
    const noted = hasJournal ? yield* disk.sessions : []
    if (noted.length > 0) {
      leaks.push({ promise: "orphaned", message: `the journal still knows uploads of ${noted.map(({ key }) => key)}` })
    }
    history.end({ objects, sessions: open, journal: noted })
    return {
      seed,
      violations: [...leaks, ...History.check(history)],
      consumed: faults.consumed.map(({ fault: { kind, verb } }) => `${verb} ${kind._tag}`),
      remaining: faults.remaining.map(Faults.render),
      processes: ran.length,
      kills,
      uploads,
      requests: history.processes.reduce((sum, { operations }) => sum + operations.length, 0),
      strategy: setup.strategy.name,
      story: () => tell(history, faults)
    }
  })

/** All fibers without a parent, as Effect keeps them. */
const rootFibers = GlobalValue.globalValue(
  Symbol.for("effect/FiberScope/Global"),
  () => ({ roots: new Set<unknown>() })
).roots

/** Forgets the fibers of processes that were killed: they wait for ever, and would keep all that they know. */
const burying = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const before = new Set(rootFibers)
    return Effect.ensuring(
      effect,
      Effect.sync(() => {
        for (const fiber of rootFibers) if (!before.has(fiber)) rootFibers.delete(fiber)
      })
    )
  })

/** Runs a seed under virtual time. What dies is a broken promise too. */
export const run = (seed: number): Effect.Effect<Outcome> =>
  Effect.map(
    Effect.exit(burying(Effect.withRandom(VirtualClock.run(live(seed)), Random.make(seed)))),
    Exit.match({
      onSuccess: ({ value }) => value,
      onFailure: (cause): Outcome => ({
        seed,
        violations: [{ promise: "leaked", message: Cause.pretty(cause).slice(0, 600) }],
        consumed: [],
        remaining: [],
        processes: 0,
        kills: 0,
        uploads: 0,
        requests: 0,
        strategy: "",
        story: () => []
      })
    })
  )

/** One line for each thing that happened, by time. */
const tell = (history: History.History, faults: Faults.Faults): ReadonlyArray<string> => {
  const lines: Array<readonly [at: number, order: number, line: string]> = []
  for (const { number, operations, events, results } of history.processes) {
    for (const { at, began, ended, endedAt, error, key, outcome, part, uploadId, verb } of operations) {
      const name = `p${number} ${verb} ${key}${part === undefined ? "" : ` ${part}`} ${uploadId ?? ""}`
      lines.push([at, began, name])
      if (ended !== undefined) lines.push([endedAt!, ended, `${name} -> ${outcome} ${error ?? ""}`])
    }
    for (const event of events) lines.push([event.at, Infinity, `p${number} ${JSON.stringify(event)}`])
    for (const { at, result } of results) lines.push([at, Infinity, `p${number} ${result._tag} ${result.file.key}`])
  }
  for (const { began, at, endedAt, ended, error, key, outcome, uploadId, verb, part } of history.storage) {
    const name = `   storage: ${verb} ${key}${part === undefined ? "" : ` ${part}`} ${uploadId ?? ""}`
    lines.push([at, began, name])
    if (ended !== undefined) lines.push([endedAt!, ended, `${name} -> ${outcome} ${error ?? ""}`])
  }
  for (const { at, call, fault } of faults.consumed) {
    lines.push([at, -1, `   *** ${Faults.render(fault)} at ${call.verb} ${call.key ?? ""} ${call.part ?? ""}`])
  }
  return lines.sort(([a, i], [b, j]) => a - b || i - j).map(([at, , line]) => `${at.toFixed(1)} ${line}`)
}
