/**
 * `memory`: whether the bytes in memory stay within the budget, whatever the concurrency and the sizes.
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import type * as Destination from "@sluice/core/Destination"
import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
import * as MachineNode from "@sluice/core/MachineNode"
import * as Strategy from "@sluice/core/Strategy"
import * as Uploader from "@sluice/core/Uploader"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as assert from "node:assert"
import * as Contest from "../Contest.js"
import * as Discard from "../Discard.js"
import * as Sparse from "../Sparse.js"

const MiB = 1024 * 1024

/** What a process may use in addition to the budget, in bytes. */
const besides = 120e6

interface Setting {
  readonly kind: "whole" | "streamed" | "directory"
  readonly memory: number
  readonly concurrency: number
}

const settings: ReadonlyArray<Setting> = [
  ...(["whole", "streamed"] as const).flatMap((kind) =>
    [64, 256].flatMap((memory) => [4, 16, 64, 256].map((concurrency) => ({ kind, memory, concurrency })))
  ),
  { kind: "directory", memory: 64, concurrency: 16 },
  { kind: "directory", memory: 64, concurrency: 256 }
]

const nameOf = ({ concurrency, kind, memory }: Setting): string => `${kind}, ${memory} MiB, ${concurrency} at once`

const many = ({ kind }: Setting): number => kind === "directory" ? 2_000 : 20_000

const destinationOf = (kind: Setting["kind"]) =>
  kind === "directory"
    ? Effect.map(Sparse.directory(), (root): Layer.Layer<Destination.Destination> =>
      Layer.orDie(Layer.provide(LocalDirectory.layer({ root }), NodeContext.layer)))
    : Effect.succeed(Discard.layer({ wholeBodies: kind === "whole", reads: true, holdMillis: 10 }))

/** One file of 10 GiB, or files of 256 KiB; to a real directory one of 1 GiB. */
const upload = ({ concurrency, kind, memory }: Setting) => (count: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    // As the command line does.
    yield* MachineNode.keepHeapSmall(memory * MiB)
    const size = count > 1 ? MiB / 4 : (kind === "directory" ? 1024 : 10_240) * MiB
    const file = yield* Sparse.file(size)
    const destination = yield* destinationOf(kind)
    const report = yield* Effect.flatMap(
      Uploader.Uploader,
      (uploader) => uploader.uploadAll(Sparse.repeated(file, count))
    ).pipe(
      Effect.provide(
        Uploader.layer({ strategy: Strategy.workerPool({ workers: concurrency }), memory: memory * MiB }).pipe(
          Layer.provide(destination)
        )
      )
    )
    assert.strictEqual(report.files.uploaded, count)
    if (kind !== "directory") assert.strictEqual(Discard.taken.bytes, count * size)
  }).pipe(Effect.scoped)

export const contest: Contest.Contest = {
  name: "memory",
  title: "peak memory of one file of 10 GiB, and of many of 256 KiB, by the budget and the concurrency",
  lists: [{ files: 1, rounds: 1 }, { files: 2_000, rounds: 1 }, { files: 20_000, rounds: 1 }],
  contestants: settings.map((setting) => ({
    name: nameOf(setting),
    upload: upload(setting),
    lists: [1, many(setting)]
  })),
  promises: (of) =>
    settings.flatMap((setting) =>
      [1, many(setting)].map((files) => {
        const limit = setting.memory * MiB + besides
        return Contest.atMost(
          `${nameOf(setting)}, ${files.toLocaleString("en")} files: at most the budget and 120 MB (${
            Math.round(limit / 1e6)
          } MB)`,
          of(nameOf(setting), files).peakBytes / 1e6,
          limit / 1e6,
          "MB"
        )
      })
    )
}
