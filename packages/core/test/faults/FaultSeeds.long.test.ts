import { assert, describe, it } from "@effect/vitest"
import { Destination, RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as Faults from "@sluice/core/testing/Faults"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect, Fiber } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Bundle from "../support/Bundle.js"
import { mutated, mutations } from "./Mutations.js"
import * as SeedWorkers from "./SeedWorkers.js"

// Bundled, and in processes of their own: in here each would take twice as long.
describe("seeds of at least twenty faults", () => {
  it("break no promise, seeds 1 to 500", async () => {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-faults-"))
    const failing: Array<string> = []
    try {
      const { sums } = await SeedWorkers.run(await Bundle.make("faults/seedWorker.ts", root), {
        first: 1,
        count: 500,
        parallel: 2,
        onFailing: ({ seed, violations: [violation] }) =>
          failing.push(
            `${violation?.promise}: ${violation?.message}; again: npm run simulate:faults -- --seeds 1 --seed ${seed} --story`
          )
      })
      assert.deepStrictEqual(failing, [])
      assert.strictEqual(sums.seeds, 500)
      assert.isAtLeast(sums.fewest, 20)
    } finally {
      fs.rmSync(root, { recursive: true, force: true })
    }
  }, 600_000)
})

describe("promises that are broken on purpose", () => {
  it("are those of the current sources", () => {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-mutations-"))
    try {
      for (const mutation of mutations) assert.isTrue(fs.existsSync(mutated(root, mutation)))
    } finally {
      fs.rmSync(root, { recursive: true, force: true })
    }
  })
})

describe("an upload that has to be aborted", () => {
  const interrupted = (faults: Faults.Faults, millis: number | undefined) =>
    Effect.gen(function*() {
      const { destination, network } = yield* Simulated.make({ observe: true, requestLatency: 5 })
      const uploader = yield* Uploader.make({
        strategy: Strategy.rateLimited({ uploadsPerSecond: 10 }),
        multipartThreshold: 0,
        partSize: 1_000,
        retry: RetryPolicy.none
      }).pipe(Effect.provideService(Destination.Destination, faults.destination(destination)))
      const fiber = yield* Effect.fork(uploader.uploadAll([UploadFile.fromBytes("a", new Uint8Array(5_000))]))
      if (millis !== undefined) yield* Effect.zipRight(Effect.sleep(millis), Fiber.interrupt(fiber))
      else yield* Fiber.await(fiber)
      return { sessions: yield* network.sessions, aborted: yield* network.aborted }
    }).pipe(Effect.scoped, Effect.timeout("1 day"), VirtualClock.run, Effect.map(({ value }) => value))

  it.effect("is aborted if its start has to be waited for", () =>
    Effect.gen(function*() {
      const faults = Faults.make([{ verb: "uploadPart", part: 2, kind: { _tag: "CredentialsExpired" } }])
      assert.deepStrictEqual(yield* interrupted(faults, undefined), { sessions: [], aborted: 1 })
      yield* faults.allConsumed
    }))

  it.effect("is aborted if an interruption arrives during that wait", () =>
    Effect.gen(function*() {
      // The second part fails after 205 ms; the start of the abort comes at 300.
      const faults = Faults.make([{ verb: "uploadPart", part: 2, kind: { _tag: "CredentialsExpired" } }])
      assert.deepStrictEqual(yield* interrupted(faults, 250), { sessions: [], aborted: 1 })
    }))

  it.effect.each([false, true])(
    "is aborted where a look finds the same content from before (in order: %s)",
    (inOrder) =>
      VirtualClock.run(Effect.scoped(Effect.gen(function*() {
        const { destination, network } = yield* Simulated.make({ observe: true, parts: { inOrder } })
        const faults = Faults.make([{ verb: "complete", nth: 2, kind: { _tag: "NoAnswer" } }])
        const uploader = yield* Uploader.make({ multipartThreshold: 0, partSize: 1_000, retry: RetryPolicy.none }).pipe(
          Effect.provideService(Destination.Destination, faults.destination(destination))
        )
        const file = UploadFile.fromBytes("a", new Uint8Array(5_000))
        yield* uploader.uploadAll([file])
        const again = yield* uploader.uploadAll([file])
        yield* faults.allConsumed
        assert.strictEqual(again.files.uploaded, 1)
        assert.deepStrictEqual(yield* network.sessions, [])
      })))
  )
})
