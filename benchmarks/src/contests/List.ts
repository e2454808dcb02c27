/**
 * `list`: the same million files from each kind of lazy list. Memory must stay flat.
 */
import * as Stream from "effect/Stream"
import * as Contest from "../Contest.js"
import * as Sluice from "../Sluice.js"
import { concurrency, everythingStored, files, filesAsync, instant } from "../Workload.js"

const contestants: ReadonlyArray<Contest.Contestant> = [
  { name: "iterable", upload: (count) => Sluice.upload(files(count), count, instant) },
  { name: "Stream", upload: (count) => Sluice.upload(Stream.fromIterable(files(count)), count, instant) },
  { name: "async iterable", upload: (count) => Sluice.upload(filesAsync(count), count, instant) }
]

export const contest: Contest.Contest = {
  name: "list",
  title: `lazy lists into the engine, an instant destination, ${concurrency} uploads at a time`,
  lists: [{ files: 100_000, rounds: 3 }, { files: 1_000_000, rounds: 1 }],
  contestants: contestants.map(everythingStored),
  promises: (of) =>
    contestants.map(({ name }) =>
      Contest.atMost(
        `${name}: 1,000,000 files take at most 20 MB more than 100,000`,
        (of(name, 1_000_000).peakBytes - of(name, 100_000).peakBytes) / 1e6,
        20,
        "MB"
      )
    )
}
