/**
 * One application, two destinations: small pictures go one way, large exports another, each with an uploader and
 * limits of its own. `Uploader.Tag` makes the tags; the destination is given to the layer of each.
 */
import { ByteSize, ByteSource, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Console, Effect, Layer } from "effect"
import { runMain } from "./run.js"

class Avatars extends Uploader.Tag("Avatars")<Avatars>() {}

class Exports extends Uploader.Tag("Exports")<Exports>() {}

const AvatarsLayer = Avatars.layer({ strategy: Strategy.workerPool({ workers: 16 }) }).pipe(
  Layer.provide(Simulated.layer({ requestLatency: "20 millis" }))
)

const ExportsLayer = Exports.layer({ strategy: Strategy.bandwidth({ bytesPerSecond: "10 MiB" }) }).pipe(
  Layer.provide(Simulated.layer({ requestLatency: "100 millis" }))
)

const avatars = Array.from({ length: 32 }, (_, i) => UploadFile.make(`${i}.png`, ByteSource.generate(4_000)))

export const program = Effect.gen(function*() {
  const pictures = yield* (yield* Avatars).uploadAll(avatars)
  yield* Console.log(`${pictures.files.uploaded} avatars in ${pictures.durationMillis} ms`)

  const tables = yield* Exports
  const { attempts, bytes } = yield* tables.upload(UploadFile.make("2026.csv", ByteSource.generate(5_000_000))).pipe(
    Effect.filterOrDieMessage((result) => result._tag === "Uploaded", "nothing is skipped here")
  )
  yield* Console.log(`an export of ${ByteSize.format(bytes)} in ${attempts} attempt`)
}).pipe(Effect.provide(Layer.merge(AvatarsLayer, ExportsLayer)))

runMain(import.meta.url, program)
