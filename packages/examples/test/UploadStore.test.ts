import { assert, describe, it } from "@effect/vitest"
import { Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Context, Effect, Layer, Scope } from "effect"
import * as UploadStore from "../src/upload-store.js"
import * as Transcript from "./Transcript.js"

const files = ["a", "b", "c", "d"].map((key) => UploadFile.fromText(key, key.repeat(50)))

/** A store over a network that outlives it, and what its listener sees. */
const make = (options: Simulated.Options) =>
  Effect.gen(function*() {
    const networks = yield* Layer.build(Simulated.layer({ ...options, observe: true }))
    const store = yield* Effect.acquireRelease(
      Effect.sync(() => new UploadStore.UploadStore(Layer.provide(Uploader.layer(), Layer.succeedContext(networks)))),
      (store) => Effect.promise(store.dispose)
    )
    const seen: Array<UploadStore.Snapshot> = []
    store.subscribe(() => void seen.push(store.getSnapshot()))
    return { store, seen, network: Context.get(networks, Simulated.Network) }
  })

/** Waits for a snapshot, without looking at a clock. */
const until = (store: UploadStore.UploadStore, is: (snapshot: UploadStore.Snapshot) => boolean) =>
  Effect.async<void>((resume) => {
    const look = () => is(store.getSnapshot()) && resume(Effect.void)
    const unsubscribe = store.subscribe(look)
    look()
    return Effect.sync(unsubscribe)
  })

describe("upload-store", () => {
  it.live("tries the failed again until all are uploaded", () =>
    Effect.gen(function*() {
      const { lines, value } = yield* Transcript.printed(UploadStore.program)
      assert.deepInclude(value, { status: "Done", failed: [] })
      assert.isAtLeast(lines.length, 2)
      assert.strictEqual(lines.at(-1), "all files uploaded")
    }))

  it.scopedLive("shows a progress that never goes back, and ends as done", () =>
    Effect.gen(function*() {
      const { network, seen, store } = yield* make({ requestLatency: "5 millis" })
      assert.strictEqual(store.getSnapshot(), store.getSnapshot())
      store.start(files)
      yield* until(store, ({ status }) => status === "Done")
      assert.deepStrictEqual(store.getSnapshot(), { status: "Done", finished: 4, found: 4, bytes: 200, failed: [] })
      const finished = seen.map(({ finished }) => finished)
      assert.deepStrictEqual(finished, finished.toSorted((a, b) => a - b))
      assert.deepStrictEqual([...network.objects.keys()].sort(), ["a", "b", "c", "d"])
    }))

  it.scopedLive("stops, with nothing left running, and starts again", () =>
    Effect.gen(function*() {
      const { network, store } = yield* make({ requestLatency: "1 hour" })
      store.start(files)
      // A second start while the first one runs changes nothing.
      store.start([])
      yield* until(store, ({ found }) => found === 4)
      yield* Effect.promise(store.stop)
      assert.strictEqual(store.getSnapshot().status, "Stopped")
      assert.deepStrictEqual([yield* network.inFlight, network.objects.size], [0, 0])
      store.start([])
      yield* until(store, ({ status }) => status === "Done")
    }))

  it.live("is disposed with what it has under way", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { network, store } = yield* Scope.extend(make({ requestLatency: "1 hour" }), scope)
      store.start(files)
      yield* until(store, ({ status }) => status === "Uploading")
      yield* Effect.promise(store.dispose)
      assert.deepStrictEqual([store.getSnapshot().status, yield* network.inFlight], ["Stopped", 0])
    }))
})
