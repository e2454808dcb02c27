/**
 * `put`: files to S3, by the engine on its transport, by a bare pool of connections, by the AWS SDK, and by the tools
 * that are on the PATH.
 */
import * as S3 from "@sluice/core/destinations/S3"
import * as FilesNode from "@sluice/core/FilesNode"
import * as Strategy from "@sluice/core/Strategy"
import * as TransportNode from "@sluice/core/TransportNode"
import * as Uploader from "@sluice/core/Uploader"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as assert from "node:assert"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Contest from "../Contest.js"
import * as Sink from "../Sink.js"
import * as Sparse from "../Sparse.js"
import * as PutTools from "./PutTools.js"

const MiB = 1024 * 1024

/** The size of the files in each list, by their number. */
const sizes: Readonly<Record<number, number>> = { 10_000: 4096, 2_000: MiB / 4, 1: 2048 * MiB }

const [small, medium, large] = [10_000, 2_000, 1]

const concurrency = 64

/** What the process that runs the contest passes to those that measure. */
const urlVariable = "SLUICE_BENCH_SINK"
const filesVariable = "SLUICE_BENCH_FILES"

const url = (): string => process.env[urlVariable] ?? ""

const directoryOf = (count: number): string => path.join(process.env[filesVariable] ?? "", String(count))

const setUp = Effect.gen(function*() {
  const sink = yield* Sink.start
  if ("reason" in sink) return sink.reason
  const root = yield* Sparse.directory({ inMemory: true })
  const content = Buffer.alloc(MiB / 4, "sluice ")
  for (const count of [small, medium, large]) {
    const directory = path.join(root, String(count))
    fs.mkdirSync(directory)
    for (let i = 0; i < count; i++) {
      const file = path.join(directory, `file-${i.toString(36)}`)
      const size = sizes[count] ?? 0
      fs.writeFileSync(file, content.subarray(0, Math.min(size, content.length)))
      // Only the beginning of the large file takes space.
      fs.truncateSync(file, size)
    }
  }
  process.env[urlVariable] = sink.url
  process.env[filesVariable] = root
  return undefined
})

/** Dies unless the sink has received everything. */
const received = (contestant: Contest.Contestant): Contest.Contestant => ({
  ...contestant,
  upload: (count) => Sink.receiving(url(), count * (sizes[count] ?? 0), count, contestant.upload(count)),
  ...(contestant.measure !== undefined && {
    measure: (count) =>
      Sink.receiving(
        url(),
        count * (sizes[count] ?? 0),
        count,
        contestant.measure?.(count) ?? Effect.die("not measured")
      )
  })
})

const promise = (work: (directory: string, address: string) => Promise<void>) => (count: number): Effect.Effect<void> =>
  Effect.promise(() => work(directoryOf(count), url()))

const sluice = (options: Uploader.Options) => (count: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    const uploader = yield* Uploader.Uploader
    const report = yield* uploader.uploadAll(FilesNode.directory(directoryOf(count)))
    assert.strictEqual(report.files.uploaded, count)
  }).pipe(
    Effect.provide(
      Uploader.layer({ strategy: Strategy.workerPool({ workers: count === large ? 8 : concurrency }), ...options })
        .pipe(
          Layer.provide(S3.layer({
            bucket: "bucket",
            endpoint: url(),
            provider: "aws",
            credentials: Effect.succeed({ accessKeyId: "AKIDEXAMPLE", secretAccessKey: Redacted.make("secret") })
          })),
          Layer.provide(TransportNode.layer({ connections: concurrency }))
        )
    ),
    Effect.orDie
  )

const bare = "undici, signed"
const bareParts = "undici, signed, crc32, 4 parts at once"
const engine = "sluice, crc32"

const contestants: ReadonlyArray<Contest.Contestant> = [
  {
    name: bare,
    lists: [small, medium],
    upload: (count) =>
      Effect.flatMap(
        Effect.promise(() => import("./PutBare.js")),
        (it) => promise((from, to) => it.putAll(from, to, concurrency))(count)
      )
  },
  {
    name: bareParts,
    lists: [large],
    upload: (count) =>
      Effect.flatMap(
        Effect.promise(() => import("./PutBare.js")),
        (it) => promise((from, to) => it.putParts(path.join(from, "file-0"), to, 8 * MiB, 4))(count)
      )
  },
  { name: engine, upload: sluice({ checksum: "crc32" }) },
  { name: "sluice, no checksum", upload: sluice({ checksum: "none" }) },
  { name: "sluice, crc32, 4 parts at once", lists: [large], upload: sluice({ checksum: "crc32", partConcurrency: 4 }) },
  {
    name: "@aws-sdk/client-s3, p-limit",
    lists: [small, medium],
    prepare: Effect.asVoid(Effect.promise(() => import("./PutSdk.js"))),
    upload: (count) =>
      Effect.flatMap(
        Effect.promise(() => import("./PutSdk.js")),
        (it) => promise((from, to) => it.putAll(from, to, concurrency))(count)
      )
  },
  {
    name: "@aws-sdk/lib-storage",
    prepare: Effect.asVoid(Effect.promise(() => import("./PutSdk.js"))),
    upload: (count) =>
      Effect.flatMap(
        Effect.promise(() => import("./PutSdk.js")),
        (it) => promise((from, to) => it.uploadAll(from, to, concurrency))(count)
      )
  },
  ...PutTools.tools.map((tool): Contest.Contestant => ({
    name: tool.name,
    isThere: PutTools.find(tool.name) !== undefined,
    upload: () => Effect.void,
    measure: (count) => PutTools.measure(tool, directoryOf(count), url(), count)
  }))
]

export const contest: Contest.Contest = {
  name: "put",
  title: "10,000 × 4 KiB, 2,000 × 256 KiB and 1 × 2 GiB to an S3 that keeps nothing, 64 at once",
  lists: [{ files: small, rounds: 5 }, { files: medium, rounds: 5 }, { files: large, rounds: 5 }],
  setUp,
  contestants: contestants.map(received),
  promises: (of) => {
    const cpu = (contestant: string, files: number) => of(contestant, files).cpuMicros
    return [
      Contest.atMost("4 KiB: at most 1.6 × the CPU of a bare pool", cpu(engine, small) / cpu(bare, small), 1.6, "×"),
      Contest.atMost(
        "2 GiB: at most 1.15 × the CPU of a bare pool",
        cpu(engine, large) / cpu(bareParts, large),
        1.15,
        "×"
      ),
      Contest.atMost("2 GiB: at most 250 MB", of(engine, large).peakBytes / 1e6, 250, "MB")
    ]
  }
}
