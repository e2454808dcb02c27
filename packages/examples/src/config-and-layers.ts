/**
 * Takes everything from the configuration: where files go, the credentials, and how many are sent at once. The layers
 * are put together in one place, at the bottom; the application in the middle knows only its `Uploader`.
 *
 * ```sh
 * S3_BUCKET=backups AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… STRATEGY=pool:64+bandwidth:10MiB/s PART_SIZE=16MiB \
 *   npx tsx packages/examples/src/config-and-layers.ts
 * ```
 */
import { ByteSize, ByteSource, RetryPolicy, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import * as TransportNode from "@sluice/core/TransportNode"
import { Config, Console, Context, Effect, Layer, Schedule } from "effect"
import { runMain } from "./run.js"

// The application: a service that archives, made from an uploader, whatever that uploads to.
class Archive extends Context.Tag("Archive")<Archive, {
  readonly store: (day: string, films: number) => Effect.Effect<string>
}>() {
  static readonly layer = Layer.effect(
    Archive,
    Effect.map(Uploader.Uploader, (uploader) => ({
      store: (day, films) => {
        const files = Array.from(
          { length: films },
          (_, i) => UploadFile.make(`${day}/${i}.mkv`, ByteSource.generate(ByteSize.decode("6 MiB")))
        )
        return Effect.map(
          uploader.uploadAll(files),
          ({ bytes, files }) => `${files.uploaded} of ${files.total} films, ${ByteSize.format(bytes.uploaded)}`
        )
      }
    }))
  )
}

// Each option is a Config: one that may be missing has a default, and what the program decides is a `Config.succeed`.
const UploaderLayer = Uploader.layerConfig({
  strategy: Strategy.config("STRATEGY").pipe(Config.withDefault(Strategy.adaptive())),
  partSize: ByteSize.config("PART_SIZE").pipe(Config.withDefault(undefined)),
  multipartThreshold: ByteSize.config("PART_SIZE").pipe(Config.withDefault(undefined)),
  retry: Config.succeed(RetryPolicy.fromSchedule(
    Schedule.exponential("200 millis").pipe(Schedule.jittered, Schedule.upTo("1 minute"))
  ))
})

const BucketLayer = S3.layerConfig({
  bucket: Config.string("S3_BUCKET"),
  prefix: Config.string("S3_PREFIX").pipe(Config.withDefault(undefined)),
  endpoint: Config.string("S3_ENDPOINT").pipe(Config.withDefault(undefined)),
  // AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN
  credentials: S3.credentialsConfig
})

const ArchiveLayer = Archive.layer.pipe(
  Layer.provide(UploaderLayer),
  Layer.provide(BucketLayer),
  Layer.provide(TransportNode.layer())
)

export const program = Effect.gen(function*() {
  const archive = yield* Archive
  yield* Console.log(yield* archive.store("2026-05-01", 2))
}).pipe(
  // Fails with a ConfigError that names each variable that is missing or invalid.
  Effect.provide(ArchiveLayer)
)

runMain(import.meta.url, program)
