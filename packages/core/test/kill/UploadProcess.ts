/**
 * A process that uploads a directory with a journal, and kills itself at one exact moment if it is told to. Whatever it
 * does at the destination it writes down before and afterwards, so that those who come after it know what was stored.
 */
import { FileSystem } from "@effect/platform"
import { NodeFileSystem, NodePath } from "@effect/platform-node"
import { Destination, Journal, Strategy, Uploader, UploadReport } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
import * as FilesNode from "@sluice/core/FilesNode"
import * as JournalNode from "@sluice/core/JournalNode"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Layer } from "effect"
import nodeFs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import * as path from "node:path"
import type { Event, Point, Task } from "./Protocol.js"

const task = JSON.parse(process.argv[2]!) as Task

const { openSync, writeSync } = nodeFs

const log = openSync(task.log, "a")

const note = (event: Omit<Event, "at">): void => {
  writeSync(log, `${JSON.stringify({ at: Date.now(), ...event })}\n`)
}

let left = task.kill?.occurrence ?? 0

/** Whether the process is to die here. */
const isTime = (point: Point): boolean => task.kill?.point === point && --left === 0

const die = (point: Point): void => {
  note({ what: "kill", phase: "start", detail: point })
  process.kill(process.pid, "SIGKILL")
}

const passing = (point: Point): void => {
  if (isTime(point)) die(point)
}

const at = (point: Point) => Effect.sync(() => passing(point))

/** Notes that something begins, and how it ends. */
const noted =
  (event: Pick<Event, "what" | "key" | "offset" | "size" | "total">) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      note({ ...event, phase: "start" })
      return Effect.onExit(effect, (exit) =>
        Effect.sync(() => note({ ...event, phase: exit._tag === "Success" ? "end" : "fail" })))
    })

// -----------------------------------------------------------------------------
// the destination
// -----------------------------------------------------------------------------

const instrumented = (real: Destination.Destination["Type"]): Destination.Destination["Type"] => {
  const { leftovers, multipart } = real
  const fresh = new Set<string>()
  return {
    ...real,
    put: (request) =>
      real.put(request).pipe(
        noted({ what: "put", key: request.key, offset: 0, size: request.body.size, total: request.body.size }),
        Effect.zipLeft(at("put stored"))
      ),
    multipart: multipart && {
      ...multipart,
      create: (request) =>
        multipart.create(request).pipe(
          noted({ what: "create", key: request.key, total: request.size }),
          Effect.tap((uploadId) => {
            fresh.add(uploadId)
            passing("created")
          })
        ),
      uploadPart: (request) =>
        Effect.suspend(() => {
          if (fresh.delete(request.uploadId)) passing("recorded")
          const { body: { size }, key, offset, total } = request
          return multipart.uploadPart(request).pipe(
            noted({ what: "part", key, offset, size, total }),
            Effect.zipLeft(at("part stored"))
          )
        }),
      complete: (request) =>
        at("before complete").pipe(
          Effect.zipRight(
            noted({ what: "complete", key: request.key, total: request.size })(multipart.complete(request))
          ),
          Effect.zipLeft(at("completed"))
        ),
      abort: (session) =>
        at("abort begun").pipe(
          Effect.zipRight(noted({ what: "abort", key: session.key })(multipart.abort(session))),
          Effect.zipLeft(at("aborted"))
        )
    },
    leftovers: leftovers && {
      ...leftovers,
      sweep: (owner) => noted({ what: "sweep" })(leftovers.sweep(owner)).pipe(Effect.zipLeft(at("swept")))
    }
  }
}

/** Writes of which only the beginning is carried out, and renames that are not. */
const WatchedFiles = Layer.effect(
  FileSystem.FileSystem,
  Effect.map(FileSystem.FileSystem, (real): FileSystem.FileSystem => ({
    ...real,
    open: (file, options) =>
      Effect.map(real.open(file, options), (opened) => {
        const point = file.endsWith(".parts") ? "part half written" : file.endsWith(".part") ? "put half written" : null
        if (point === null) return opened
        // The file has its position in itself, so it is changed and not wrapped.
        const writeAll = opened.writeAll.bind(opened)
        return Object.assign(opened, {
          writeAll: (block: Uint8Array) =>
            Effect.suspend(() =>
              isTime(point)
                ? Effect.map(
                  writeAll(block.subarray(0, Math.floor(block.length * task.kill!.fraction))),
                  () => die(point)
                )
                : writeAll(block)
            )
        })
      }),
    rename: (from, to) =>
      Effect.suspend(() => {
        if (from.endsWith(".part")) passing("put written")
        return real.rename(from, to)
      })
  }))
).pipe(Layer.provide(NodeFileSystem.layer))

const RealDestination = task.destination.kind === "local"
  ? LocalDirectory.layer({ root: task.destination.root }).pipe(
    Layer.provide(Layer.merge(WatchedFiles, NodePath.layer))
  )
  : Http.layer({ url: task.destination.url, parts: "contentRange" }).pipe(Layer.provide(TransportNode.layer()))

const DestinationLayer = Layer.effect(
  Destination.Destination,
  Effect.map(Destination.Destination, instrumented)
).pipe(Layer.provide(RealDestination))

// -----------------------------------------------------------------------------
// the journal
// -----------------------------------------------------------------------------

const journalFiles = new Set([path.join(task.journal, "journal"), path.join(task.journal, "journal.new")])
const journalDescriptors = new Set<number>()

/* The journal's writes are cut below it, at the calls of the system. */
const { close, open, rename, write } = nodeFs as unknown as Record<string, (...args: Array<any>) => void>

Object.assign(nodeFs, {
  open: (file: string, ...rest: Array<any>) => {
    const done = rest.pop()
    open!(file, ...rest, (error: unknown, descriptor: number) => {
      if (error === null && journalFiles.has(file)) journalDescriptors.add(descriptor)
      done(error, descriptor)
    })
  },
  close: (descriptor: number, ...rest: Array<any>) => {
    journalDescriptors.delete(descriptor)
    close!(descriptor, ...rest)
  },
  write: (descriptor: number, bytes: Uint8Array, offset: number, length: number, ...rest: Array<any>) => {
    if (journalDescriptors.has(descriptor) && isTime("journal write")) {
      writeSync(descriptor, bytes, offset, Math.floor(length * task.kill!.fraction), rest[0])
      die("journal write")
    }
    write!(descriptor, bytes, offset, length, ...rest)
  },
  rename: (from: string, ...rest: Array<any>) => {
    if (journalFiles.has(from)) passing("journal renamed")
    rename!(from, ...rest)
  }
})
syncBuiltinESMExports()

const JournalLayer = Layer.effect(
  Journal.Journal,
  Effect.map(Journal.Journal, (real): Journal.Journal["Type"] => ({
    ...real,
    begin: (intent) => Effect.zipLeft(real.begin(intent), at("begun")),
    runEnded: Effect.suspend(() => {
      note({ what: "run", phase: "end" })
      return real.runEnded
    })
  }))
).pipe(Layer.provide(JournalNode.layerDirectory({
  directory: task.journal,
  destination: task.destination.kind === "local" ? task.destination.root : task.destination.url
})))

// -----------------------------------------------------------------------------
// the upload
// -----------------------------------------------------------------------------

const upload = Effect.gen(function*() {
  const uploader = yield* Uploader.Uploader
  writeSync(1, "ready\n")
  const report = yield* uploader.uploadAll(FilesNode.directory(task.source), {
    onInterrupt: "keep",
    onSourceChange: "retry"
  })
  passing("ending")
  return report
}).pipe(
  Effect.provide(
    Uploader.layer({
      strategy: Strategy.workerPool({ workers: task.workers }),
      partConcurrency: task.partConcurrency,
      multipartThreshold: task.partSize,
      partSize: task.partSize
    }).pipe(Layer.provide(DestinationLayer), Layer.provide(JournalLayer))
  )
)

const report = await Effect.runPromise(upload)
writeSync(1, `${JSON.stringify(report)}\n`)
process.exitCode = UploadReport.isComplete(report) ? 0 : 1
