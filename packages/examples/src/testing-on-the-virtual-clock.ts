/**
 * Tests what uploads do when things go wrong: with a simulated network, scripted faults and a check of every promise,
 * in virtual time. In a test file, `it.effect` of `@effect/vitest` runs the program.
 */
import { ByteSource, Destination, Strategy, Uploader, UploadFile } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as Faults from "@sluice/core/testing/Faults"
import * as History from "@sluice/core/testing/History"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Console, Effect } from "effect"
import { runMain } from "./run.js"

// The application's own effect to test. It needs an Uploader, and does not know what is behind it.
const contents = (offset: number, length: number) => Uint8Array.from({ length }, (_, i) => (offset + i) % 251)
const songs = [300, 500, 800].map((kib, i) =>
  UploadFile.make(`song-${i}.mp3`, ByteSource.generate(kib * 1024, contents))
)
const files = [...songs, UploadFile.fromText("notes.txt", "for the band")]

export const program = Effect.gen(function*() {
  // The network: 100 KiB/s on each connection, 50 ms for each request.
  const { destination, network } = yield* Simulated.make({
    bytesPerSecond: "100 KiB",
    requestLatency: "50 millis",
    observe: true
  })

  // What goes wrong, and when. Each fault strikes once.
  const faults = Faults.make([
    { verb: "uploadPart", part: 2, kind: { _tag: "ResetInsideBody", after: 0.5 } },
    { verb: "put", key: "notes.txt", kind: { _tag: "SlowDown", status: 503, retryAfterMillis: 2_000 } },
    { verb: "complete", key: "song-2.mp3", kind: { _tag: "AnswerLost" } }
  ])

  // Everything that happens is recorded: what the engine requests, and what is really stored.
  const history = History.make()
  const process = history.begin()
  const strategy = Strategy.workerPool({ workers: 8 })
  const uploader = yield* Uploader.make({ strategy, partSize: "128 KiB", multipartThreshold: "128 KiB" }).pipe(
    Effect.provideService(
      Destination.Destination,
      process.destination(faults.destination(history.beneath(destination)))
    )
  )
  for (const { key, source } of files) history.source(key, [yield* source.bytes({ offset: 0 })])
  const report = yield* uploader.uploadAll(files, process)

  const objects = new Map(Array.from(network.objects, ([key, { bytes }]) => [key, bytes]))
  history.end({ objects, sessions: yield* network.sessions, journal: [] })
  // Fails if a fault never struck, because then it tested nothing.
  yield* faults.allConsumed
  const violations = History.check(history)
  yield* Console.log(`${report.files.uploaded} files in ${report.durationMillis} ms, ${report.retries} retries`)
  yield* Console.log(`${faults.consumed.length} faults struck, ${violations.length} promises broken`)
  return { report, violations, faults: faults.consumed.map(({ fault }) => Faults.render(fault)) }
}).pipe(Effect.scoped, VirtualClock.run)

runMain(import.meta.url, program)
