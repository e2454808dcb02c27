/**
 * Toxics on the line between an uploader and a real server: whatever they do, each file is stored whole or reported
 * failed with its cause, and nothing is left behind.
 */
import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import type { Destination, Transport, UploadResult } from "@sluice/core"
import * as FaultProxy from "@sluice/core/testing/FaultProxyNode"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Layer } from "effect"
import type { Duration } from "effect"
import { pattern, sameBytes } from "../support/TestSource.js"

export interface Subject<R> {
  readonly name: string
  /** The port of the server itself. */
  readonly port: Effect.Effect<number, never, R>
  /** The server, empty. */
  readonly server: Layer.Layer<R>
  /** The destination, asked for at a port. */
  readonly destination: (port: number) => Layer.Layer<Destination.Destination, never, R | Transport.Transport>
  readonly readBack: (key: string) => Effect.Effect<Uint8Array | undefined, never, R>
  /** Uploads that have neither become objects nor been aborted. */
  readonly unfinished: Effect.Effect<ReadonlyArray<string>, never, R>
  /**
   * Whether an upload whose creation was done, and whose answer was lost, cannot be found again: each connection that
   * broke may then have left one. Defaults to `false`.
   */
  readonly forgetsCreations?: boolean | undefined
  /** In bytes. */
  readonly partSize: number
  /** Defaults to `700 millis`. */
  readonly stallTimeout?: Duration.DurationInput | undefined
  /** Whether cases run at the same time. Defaults to `true`. */
  readonly concurrent?: boolean | undefined
}

/** The toxics to try; `half` is about half of the bytes on one connection. */
const toxicsOf = (half: number): ReadonlyArray<readonly [name: string, toxic: FaultProxy.Toxic]> => [
  ["latency with jitter", FaultProxy.latency({ delay: "2 millis", jitter: "10 millis" })],
  ["late answers", FaultProxy.latency({ delay: "5 millis", jitter: "20 millis", direction: "down" })],
  ["little bandwidth", FaultProxy.bandwidth({ bytesPerSecond: Math.max(150_000, half * 8) })],
  ["slow closing", FaultProxy.slowClose({ delay: "100 millis" })],
  ["stalled requests", FaultProxy.timeout({ after: half, times: 2 })],
  ["stalled answers", FaultProxy.timeout({ direction: "down", times: 2 })],
  ["resets in requests", FaultProxy.reset({ after: half, times: 3 })],
  ["resets before answers", FaultProxy.reset({ direction: "down", times: 3 })],
  ["resets in answers", FaultProxy.reset({ direction: "down", after: 20, times: 3 })],
  ["small segments", FaultProxy.slice({ bytes: Math.min(8192, Math.floor(half / 20)) })],
  ["small segments of answers", FaultProxy.slice({ bytes: 7, direction: "down" })],
  ["ends in requests", FaultProxy.limit({ bytes: half, times: 3 })],
  ["a server that is down now and then", FaultProxy.down({ probability: 0.5 })],
  ["a server that is down", FaultProxy.down()]
]

/** A connection that slowly closes only shows when it is closed: after the run. */
const strikesLate: ReadonlySet<string> = new Set(["slow closing"])

export const toxicsMatrix = <R>(subject: Subject<R>): void => {
  const { partSize } = subject
  const kinds = [
    {
      kind: "small",
      sizes: [20_000, 5000, 30_000, 4096, 0, 1, 1000, 70],
      half: 3000,
      threshold: Number.MAX_SAFE_INTEGER
    },
    { kind: "large", sizes: [partSize + 1, 2 * partSize + 7], half: Math.floor(partSize / 2), threshold: 1 }
  ]

  // Each has a server and a proxy of its own, and mostly waits.
  const group = subject.concurrent === false ? describe : describe.concurrent
  group(`toxics on the line to ${subject.name}`, () => {
    for (const { half, kind, sizes, threshold } of kinds) {
      for (const [name, toxic] of toxicsOf(half)) {
        it.live(`${kind} files, ${name}`, () =>
          Effect.gen(function*() {
            const seed = yield* seedFor(toxic)
            const proxy = yield* FaultProxy.serve({ port: yield* subject.port, seed, toxics: [toxic] })
            const contents = new Map(sizes.map((size, i) => [`${i} of ${size}`, pattern(size, i + 1)]))
            const results = new Map<string, UploadResult.UploadResult>()
            let stalls = 0
            const abortsFailed = yield* Effect.flatMap(Uploader.Uploader, (uploader) =>
              uploader.uploadAll(
                Array.from(contents, ([key, bytes]) => UploadFile.fromBytes(key, bytes)),
                {
                  stallTimeout: subject.stallTimeout ?? "700 millis",
                  // On a machine that is busy, what is slow may be taken for stalled: that breaks connections too.
                  onEvent: (event) =>
                    Effect.sync(() => {
                      if ("error" in event && event.error?.reason === "Stalled") stalls += 1
                    }),
                  onResult: (result) => Effect.sync(() => results.set(result.file.key, result))
                }
              )).pipe(
                Effect.map((report) => report.abortsFailed),
                Effect.provide(uploader(proxy.port, threshold))
              )

            for (const [key, bytes] of contents) {
              const result = results.get(key)
              const there = yield* subject.readBack(key)
              if (result?._tag === "Uploaded") {
                assert.isTrue(sameBytes(there, bytes), `${key} was stored`)
              } else {
                assert.strictEqual(result?._tag, "Failed", key)
                if (result?._tag === "Failed") assert.include(["Transient", "SessionGone"], result.error._tag, key)
                // An answer that never came may have been one of success: then all of it is there.
                if (there !== undefined) assert.isTrue(sameBytes(there, bytes), `${key} is not whole`)
              }
            }
            const stored = Array.from(results.values()).filter((result) => result._tag === "Uploaded").length
            if (name === "a server that is down") assert.strictEqual(stored, 0)
            // What strikes a few times only is outlived.
            if (toxic.kind._tag !== "Down") assert.strictEqual(stored, sizes.length, problemsOf(results))
            if (strikesLate.has(name)) yield* until(Effect.map(proxy.struck(toxic.name), (count) => count > 0))
            assert.deepStrictEqual(yield* proxy.missed, [])
            const mayBeLost = subject.forgetsCreations === true && toxic.kind._tag !== "Down"
            const left = yield* subject.unfinished
            if (abortsFailed === 0) {
              const lost = mayBeLost ? stalls + (yield* proxy.struck(toxic.name)) : 0
              assert.isAtMost(left.length, lost, `left behind: ${left.join(", ")}`)
            }
          }).pipe(Effect.scoped, Effect.provide(subject.server)))
      }
    }
  })

  const uploader = (port: number, multipartThreshold: number) =>
    Uploader.layer({
      strategy: Strategy.workerPool({ workers: 4 }),
      partSize,
      multipartThreshold,
      retry: RetryPolicy.make({
        attempts: 6,
        base: "5 millis",
        cap: "40 millis",
        throttledBase: "5 millis",
        budget: false
      })
    }).pipe(
      Layer.provide(subject.destination(port)),
      Layer.provide(TransportNode.layer({ connections: 8 }))
    )
}

const problemsOf = (results: ReadonlyMap<string, UploadResult.UploadResult>): string =>
  Array.from(results.values(), (result) => result._tag === "Failed" ? result.error.message : result._tag).join("; ")

/** The first seed by which the first two connections are struck and, where not all are, the next one is not. */
const seedFor = (toxic: FaultProxy.Toxic, seed = 1): Effect.Effect<number> =>
  Effect.flatMap(
    Effect.forEach([1, 2, 3], (connection) => FaultProxy.strikes(toxic, { seed, connection })),
    ([first, second, third]) =>
      first === true && second === true && third === (toxic.probability === 1)
        ? Effect.succeed(seed)
        : seedFor(toxic, seed + 1)
  )

const until = (holds: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.flatMap(
    holds,
    (yes) =>
      yes
        ? Effect.void
        : Effect.zipRight(Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void))), until(holds))
  )
