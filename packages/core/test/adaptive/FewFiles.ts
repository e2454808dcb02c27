import { ByteSource, Destination, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect } from "effect"
import { atLeast, atMost } from "./Criterion.js"
import type { Criterion } from "./Criterion.js"
import * as Network from "./Network.js"
import * as Scenario from "./Scenario.js"

const c10: Criterion = {
  id: "C10",
  title: "fewer files than slots",
  seeds: 200,
  measure: (seed) =>
    Effect.suspend(() => {
      const network = new Network.Network({ link: [[0, 95_000]], seed })
      let most = 0
      const program = Effect.gen(function*() {
        const strategy = Strategy.adaptive({
          seed,
          initial: 8,
          onWindow: (_, { limit }) =>
            Effect.sync(() => {
              most = Math.max(most, limit)
            })
        })
        const uploader = yield* Uploader.make({ strategy })
        const files = Scenario.files()
        const one = Effect.suspend(() => {
          const file = files.next().value as UploadFile.UploadFile
          return Effect.ignore(uploader.upload(file))
        })
        yield* Effect.all(Array.from({ length: 3 }, () => Effect.repeatN(one, 24)), { concurrency: 3 })
      }).pipe(Effect.scoped, Effect.provideService(Destination.Destination, network.destination))
      return Effect.map(VirtualClock.run(program), () => ({ "highest limit": most }))
    }),
  promises: [atMost("highest limit", 1, 8)]
}

/** What a strategy with defaults, and one file after another in parts of 8 MB, come to on a link of 2 MB a second. */
export const tinyLink = (seed: number, strategy: Strategy.Strategy) =>
  Effect.suspend(() => {
    const network = new Network.Network({ link: [[0, 2e6 / Network.unit]], seed })
    const source = ByteSource.fromBytes(new Uint8Array(partsOfFile * Network.fileSize))
    const program = Effect.gen(function*() {
      const uploader = yield* Uploader.make({
        strategy,
        partSize: Network.fileSize,
        multipartThreshold: Network.fileSize
      })
      const report = yield* uploader.uploadAll(
        Array.from({ length: filesOfTinyLink }, (_, i) => UploadFile.make(`a${i}`, source))
      )
      const { concurrency } = yield* uploader.limits.current
      return { report, concurrency }
    }).pipe(Effect.scoped, Effect.provideService(Destination.Destination, network.destination))
    return Effect.map(VirtualClock.run(program), ({ value: { concurrency, report } }) => ({
      "limit at the end": concurrency,
      "attempts that broke off": network.brokenOff + report.retries,
      "files uploaded": report.files.uploaded / filesOfTinyLink
    }))
  })

const partsOfFile = 30
const filesOfTinyLink = 2

const c11: Criterion = {
  id: "C11",
  title: "parts of 8 MB on a link of 2 MB a second",
  seeds: 200,
  measure: (seed) => tinyLink(seed, Strategy.adaptive({ seed })),
  promises: [
    atMost("limit at the end", 1, 3),
    atMost("attempts that broke off", 1, 0),
    atLeast("files uploaded", 0, 1)
  ]
}

export const small: ReadonlyArray<Criterion> = [c10, c11]
