/**
 * Uploads as a store that a user interface watches, with `subscribe` and `getSnapshot` as React's
 * `useSyncExternalStore` wants them: start, stop, retry what has failed. A `ManagedRuntime` is the bridge between the
 * interface, which knows no effects, and the uploader.
 */
import { ByteSource, Progress, RetryPolicy, Uploader, UploadFile } from "@sluice/core"
import type { UploadReport, UploadResult } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Exit, Fiber, Layer, ManagedRuntime, Stream } from "effect"
import { runMain } from "./run.js"

export interface Snapshot {
  readonly status: "Idle" | "Uploading" | "Done" | "Stopped"
  /** How many files have a result. */
  readonly finished: number
  readonly found: number
  /** The bytes that are stored or on their way. */
  readonly bytes: number
  /** The files to try again. */
  readonly failed: ReadonlyArray<UploadFile.UploadFile>
}

export class UploadStore {
  private readonly runtime: ManagedRuntime.ManagedRuntime<Uploader.Uploader, never>
  private readonly listeners = new Set<() => void>()
  private snapshot: Snapshot = { status: "Idle", finished: 0, found: 0, bytes: 0, failed: [] }
  private running: Fiber.RuntimeFiber<UploadReport.UploadReport> | undefined = undefined

  constructor(layer: Layer.Layer<Uploader.Uploader>) {
    this.runtime = ManagedRuntime.make(layer)
  }

  readonly subscribe = (listener: () => void): () => void => {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  /** The same object until something changes. */
  readonly getSnapshot = (): Snapshot => this.snapshot

  readonly start = (files: ReadonlyArray<UploadFile.UploadFile>): void => {
    if (this.running !== undefined) return
    this.set({ status: "Uploading", finished: 0, found: files.length, bytes: 0, failed: [] })
    const byKey = new Map(files.map((file) => [file.key, file]))
    const note = (result: UploadResult.UploadResult) =>
      Effect.sync(() => {
        const file = byKey.get(result.file.key)
        if (result._tag === "Failed" && file !== undefined) this.set({ failed: [...this.snapshot.failed, file] })
      })
    const show = (progress: Progress.Progress) =>
      Effect.sync(() =>
        this.set({
          finished: Progress.filesFinished(progress),
          bytes: progress.bytesUploaded + progress.bytesResumed + progress.bytesInFlight
        })
      )
    const upload = Effect.gen(function*() {
      const uploader = yield* Uploader.Uploader
      const run = yield* uploader.start(files, { onResult: note })
      yield* Stream.runForEach(run.progress, show)
      return yield* run.report
    })
    const fiber = this.runtime.runFork(Effect.scoped(upload))
    this.running = fiber
    fiber.addObserver((exit) => {
      this.running = undefined
      this.set({ status: Exit.isSuccess(exit) ? "Done" : "Stopped" })
    })
  }

  /** Resolves when nothing is left running. */
  readonly stop = async (): Promise<void> => {
    if (this.running !== undefined) await Effect.runPromise(Fiber.interrupt(this.running))
  }

  readonly retryFailed = (): void => this.start(this.snapshot.failed)

  /** Ends all uploads, and closes the uploader. */
  readonly dispose = async (): Promise<void> => {
    await this.stop()
    await this.runtime.dispose()
  }

  private set(change: Partial<Snapshot>): void {
    this.snapshot = { ...this.snapshot, ...change }
    for (const listener of this.listeners) listener()
  }
}

const photos = Array.from({ length: 30 }, (_, i) => UploadFile.make(`photos/${i}.jpg`, ByteSource.generate(2_000)))

export const program = Effect.gen(function*() {
  const store = yield* Effect.acquireRelease(
    Effect.sync(() =>
      new UploadStore(
        Uploader.layer({ retry: RetryPolicy.none }).pipe(
          Layer.provide(Simulated.layer({ requestLatency: "20 millis", failureRate: 0.2, seed: "store" }))
        )
      )
    ),
    (store) => Effect.promise(store.dispose)
  )
  const settled = Effect.async<Snapshot>((resume) => {
    const look = () => {
      const snapshot = store.getSnapshot()
      if (snapshot.status !== "Uploading") resume(Effect.succeed(snapshot))
    }
    const unsubscribe = store.subscribe(look)
    look()
    return Effect.sync(unsubscribe)
  })
  store.start(photos)
  for (let snapshot = yield* settled; snapshot.failed.length > 0; snapshot = yield* settled) {
    yield* Console.log(`${snapshot.found - snapshot.failed.length} of ${snapshot.found} files uploaded; trying again`)
    store.retryFailed()
  }
  yield* Console.log("all files uploaded")
  return store.getSnapshot()
}).pipe(Effect.scoped)

runMain(import.meta.url, program)
