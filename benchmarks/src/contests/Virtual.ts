/**
 * `virtual`: how long a million simulated uploads take in virtual time, by strategy and network.
 */
import * as ByteSource from "@sluice/core/ByteSource"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as Strategy from "@sluice/core/Strategy"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import * as UploadFile from "@sluice/core/UploadFile"
import * as Effect from "effect/Effect"
import * as Contest from "../Contest.js"
import * as Sluice from "../Sluice.js"
import { concurrency, sizes } from "../Workload.js"

const million = 1_000_000

const pool = Strategy.workerPool({ workers: concurrency })

const ownLines = Simulated.layer({ requestLatency: "20 millis", bytesPerSecond: "100 KB" })

const sharedLink = Simulated.layer({ roundTrip: "20 millis", bytesPerSecond: "100 KB", sharedBytesPerSecond: "2 MB" })

const contestants: ReadonlyArray<Contest.Contestant> = [
  { name: "worker pool, a line for each", network: ownLines, strategy: pool },
  { name: "worker pool, a shared link", network: sharedLink, strategy: pool },
  { name: "adaptive, a shared link", network: sharedLink, strategy: Strategy.adaptive() }
].map(({ name, network, strategy }) => ({
  name,
  upload: (count) => Effect.asVoid(VirtualClock.run(Sluice.upload(files(count), count, network, strategy)))
}))

export const contest: Contest.Contest = {
  name: "virtual",
  title: `a million simulated uploads in virtual time, ${concurrency} at once`,
  lists: [{ files: million, rounds: 1 }],
  contestants,
  promises: (of) =>
    contestants.map(({ name }) =>
      Contest.atMost(
        `${name}: at most 30 µs of CPU an upload, so that a million take 30 s`,
        of(name, million).cpuMicros,
        30,
        "µs"
      )
    )
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

function* files(count: number): Generator<UploadFile.UploadFile> {
  let i = 0
  for (const size of sizes(count)) yield UploadFile.make(`file-${(i++).toString(36)}`, ByteSource.generate(size))
}
