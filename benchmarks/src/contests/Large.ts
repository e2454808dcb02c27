/**
 * `large`: what the engine adds to reading one large file and computing its checksum.
 */
import type * as Checksum from "@sluice/core/Checksum"
import * as Strategy from "@sluice/core/Strategy"
import * as Uploader from "@sluice/core/Uploader"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as assert from "node:assert"
import * as fs from "node:fs"
import { crc32 } from "node:zlib"
import * as Contest from "../Contest.js"
import * as Discard from "../Discard.js"
import * as Sparse from "../Sparse.js"

const MiB = 1024 * 1024

const size = 2048 * MiB

/** What a careful programmer would write without a library. */
const bareLoop = (blockSize: number, checksum: boolean) => (): Effect.Effect<void> =>
  Effect.scoped(Effect.flatMap(Sparse.filePath(size), (path) =>
    Effect.promise(async () => {
      const handle = await fs.promises.open(path)
      const block = Buffer.allocUnsafe(blockSize)
      let [sum, total] = [0, 0]
      for (;;) {
        const { bytesRead } = await handle.read(block, 0, blockSize, total)
        if (bytesRead === 0) break
        total += bytesRead
        if (checksum) sum = crc32(block.subarray(0, bytesRead), sum)
      }
      await handle.close()
      assert.strictEqual(total, size)
    })))

const upload =
  (checksum: Checksum.Algorithm | "none", wholeBodies: boolean, partConcurrency: number) => (): Effect.Effect<void> =>
    Effect.gen(function*() {
      const file = yield* Sparse.file(size)
      yield* Effect.flatMap(Uploader.Uploader, (uploader) => uploader.upload(file)).pipe(
        Effect.provide(
          Uploader.layer({
            strategy: Strategy.workerPool({ workers: 16 }),
            partSize: 8 * MiB,
            partConcurrency,
            checksum
          }).pipe(Layer.provide(Discard.layer({ wholeBodies, reads: false, holdMillis: 0 })))
        )
      )
      assert.strictEqual(Discard.taken.bytes, size)
    }).pipe(Effect.scoped, Effect.orDie)

const bare = "bare loop, crc32, 1 MiB reads"

const sluice = "sluice, crc32"

export const contest: Contest.Contest = {
  name: "large",
  title: "one file of 2 GiB, read and summed, in parts of 8 MiB to a destination that keeps nothing",
  lists: [{ files: 1, rounds: 5 }],
  contestants: [
    { name: bare, upload: bareLoop(MiB, true) },
    { name: "bare loop, crc32, 8 MiB reads", upload: bareLoop(8 * MiB, true) },
    { name: "bare loop, no checksum, 1 MiB reads", upload: bareLoop(MiB, false) },
    { name: sluice, upload: upload("crc32", false, 16) },
    { name: "sluice, crc32, one part at a time", upload: upload("crc32", false, 1) },
    { name: "sluice, crc32, parts taken whole", upload: upload("crc32", true, 16) },
    { name: "sluice, no checksum", upload: upload("none", false, 16) },
    { name: "sluice, no checksum, parts taken whole", upload: upload("none", true, 16) }
  ],
  promises: (of) => {
    const { cpuMicros, peakBytes, wallMicros } = of(sluice, 1)
    return [
      Contest.atMost("crc32: at most 2 × the CPU of a bare loop", cpuMicros / of(bare, 1).cpuMicros, 2, "×"),
      Contest.atMost("crc32: at most 250 MB", peakBytes / 1e6, 250, "MB"),
      { promise: "crc32, MB/s", measured: (size / wallMicros).toFixed(0), kept: true }
    ]
  }
}
