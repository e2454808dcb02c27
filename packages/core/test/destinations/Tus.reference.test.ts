import { assert, describe, it, vi } from "@effect/vitest"
import { ByteSource, RetryPolicy, Strategy, Transport, Uploader, UploadFile } from "@sluice/core"
import type { Destination, UploadRun } from "@sluice/core"
import * as Tus from "@sluice/core/destinations/Tus"
import * as JournalNode from "@sluice/core/JournalNode"
import * as TransportNode from "@sluice/core/TransportNode"
import { Deferred, Effect, Fiber, Layer, Scope, Stream } from "effect"
import * as path from "node:path"
import { oddNames } from "../contract/DestinationContract.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"
import { pattern, sameBytes } from "../support/TestSource.js"
import * as TusHttp from "../support/TusHttp.js"
import * as TusReference from "../support/TusReference.js"

vi.setConfig({ testTimeout: 60_000 })

const mib = 1024 ** 2

/** A file as one on a disk. */
const onDisk = (key: string, bytes: Uint8Array, fingerprint = "1") =>
  UploadFile.make(key, { ...ByteSource.fromBytes(bytes), fingerprint: Effect.succeed(fingerprint) }, { fingerprint })

const film = pattern(20 * mib)

/** The requests of a process, and a transport that records them. */
class Wire {
  readonly asked: Array<string> = []
  /** Bytes of bodies that were taken, of requests that broke too. */
  bytes = 0
  /** Called when bytes have been taken, with how many that were until then. */
  onBytes: (bytes: number) => Effect.Effect<unknown> = () => Effect.void

  readonly layer = Layer.effect(
    Transport.Transport,
    Effect.map(Transport.Transport, (real) => ({
      ...real,
      send: (request: Transport.Request) =>
        Effect.suspend(() => {
          this.asked.push(request.method)
          const { body } = request
          if (body === undefined || body instanceof Uint8Array) return real.send(request)
          const counted = (block: Uint8Array) =>
            Effect.suspend(() => {
              this.bytes += block.length
              return this.onBytes(this.bytes)
            })
          const stream: Destination.Body["stream"] = (options) => Stream.tap(body.stream(options), counted)
          return real.send({
            ...request,
            body: {
              size: body.size,
              inOnePiece: body.inOnePiece,
              stream,
              blocks: (options) => Effect.map(body.blocks(options), Effect.tap(counted)),
              bytes: Effect.tap(body.bytes, counted),
              whole: body.whole,
              checksum: body.checksum,
              unwatched: (effect) => body.unwatched(effect),
              release: () => body.release()
            }
          })
        })
    }))
  ).pipe(Layer.provide(TransportNode.layer()))
}

/** A process: an uploader of its own, with what it is given. */
const running = <A, E>(
  url: string,
  program: Effect.Effect<A, E, Uploader.Uploader>,
  options: {
    readonly wire?: Wire | undefined
    readonly journal?: string | undefined
    readonly uploader?: Uploader.Options | undefined
  } = {}
): Effect.Effect<A, E> => {
  const journal = options.journal === undefined
    ? Layer.empty
    : Layer.orDie(JournalNode.layerDirectory({ directory: options.journal, destination: "tus" }))
  const uploader = Uploader.layer({
    strategy: Strategy.workerPool({ workers: 4 }),
    retry: RetryPolicy.make({ base: 50, secondRound: false }),
    partSize: 4 * mib,
    multipartThreshold: 8 * mib,
    ...options.uploader
  }).pipe(
    Layer.provide(Tus.layer({ url })),
    Layer.provide((options.wire ?? new Wire()).layer),
    Layer.provide(journal)
  )
  return Effect.provide(program, uploader)
}

const upload = (file: UploadFile.UploadFile, options?: UploadRun.Options) =>
  Effect.gen(function*() {
    const uploader = yield* Uploader.Uploader
    const told: Array<string> = []
    const report = yield* uploader.uploadAll([file], {
      ...options,
      onResult: (result) =>
        Effect.sync(() => void told.push(result._tag === "Failed" ? result.error.message : result._tag))
    })
    return { report, told: told[0] }
  })

/** Uploads until so many bytes are on their way, and is interrupted then. */
const interruptedAt = (
  bytes: number,
  url: string,
  file: UploadFile.UploadFile,
  options: Parameters<typeof running>[2]
) =>
  Effect.gen(function*() {
    const reached = yield* Deferred.make<void>()
    const wire = new Wire()
    wire.onBytes = (sent) =>
      sent >= bytes ? Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never) : Effect.void
    const fiber = yield* Effect.fork(
      running(url, upload(file, { onInterrupt: options?.journal === undefined ? "abort" : "keep" }), {
        ...options,
        wire
      })
    )
    yield* Deferred.await(reached)
    yield* Fiber.interrupt(fiber)
    return wire
  })

describe("@tus/server", () => {
  const fresh = Effect.gen(function*() {
    const directory = path.join(yield* TemporaryDirectory.make, "store")
    return { directory, ...(yield* TusReference.serve({ directory })) }
  })

  it.scopedLive("stores small files, odd names too, in one request each", () =>
    Effect.gen(function*() {
      const { directory, url } = yield* fresh
      const contents = new Map([
        ["empty", new Uint8Array(0)],
        ["one byte", pattern(1)],
        ...oddNames.map((name, i) => [name, pattern(i)] as const),
        ...Array.from({ length: 300 }, (_, i) => [`many/${i}`, pattern(i * 13, i)] as const)
      ])
      const wire = new Wire()
      const report = yield* running(
        url,
        Effect.flatMap(Uploader.Uploader, (uploader) =>
          uploader.uploadAll(Array.from(contents, ([key, bytes]) => UploadFile.fromBytes(key, bytes)))),
        { wire }
      )
      assert.strictEqual(report.files.uploaded, contents.size)
      const uploads = TusReference.uploads(directory)
      assert.strictEqual(uploads.length, contents.size)
      for (const [key, bytes] of contents) {
        assert.isTrue(sameBytes(TusReference.read(directory, key), bytes), key)
      }
      assert.deepStrictEqual(wire.asked, [
        "OPTIONS",
        ...Array.from(contents, () =>
          "POST")
      ])
    }))

  it.scopedLive("stores a large file in parts, one after the other", () =>
    Effect.gen(function*() {
      const { directory, url } = yield* fresh
      const wire = new Wire()
      const { told } = yield* running(url, upload(onDisk("film", film)), { wire })
      assert.strictEqual(told, "Uploaded")
      assert.isTrue(sameBytes(TusReference.read(directory, "film"), film))
      assert.deepStrictEqual(wire.asked, ["OPTIONS", "POST", "PATCH", "PATCH", "PATCH", "PATCH", "PATCH", "HEAD"])
    }))

  it.scopedLive("is continued by another process, where the first stopped", () =>
    Effect.gen(function*() {
      const { directory, url } = yield* fresh
      const journal = path.join(yield* TemporaryDirectory.make, "journal")
      yield* interruptedAt(10 * mib, url, onDisk("film", film), { journal })
      const [begun] = TusReference.uploads(directory)
      assert.isDefined(begun)
      assert.isAtLeast(begun!.size, 8 * mib)
      const wire = new Wire()
      const { told } = yield* running(url, upload(onDisk("film", film)), { journal, wire })
      assert.strictEqual(told, "Uploaded")
      assert.isTrue(sameBytes(TusReference.read(directory, "film"), film))
      // The server may have stored a little more, which was on its way.
      assert.isAtMost(wire.bytes, film.length - begun!.size)
      assert.deepStrictEqual(TusReference.uploads(directory).map(({ id }) => id), [begun!.id])
    }))

  it.scopedLive("may be killed and come back meanwhile", () =>
    Effect.gen(function*() {
      const directory = path.join(yield* TemporaryDirectory.make, "store")
      const first = yield* TusReference.serveAlone({ directory })
      const wire = new Wire()
      const scope = yield* Effect.scope
      let killed = false
      wire.onBytes = (sent) => {
        if (killed || sent < 10 * mib) return Effect.void
        killed = true
        return Effect.forkIn(
          Effect.zipRight(first.kill, Scope.extend(TusReference.serve({ directory, port: first.port }), scope)),
          scope
        )
      }
      const retry = RetryPolicy.make({ base: 200, attempts: 10, secondRound: false })
      const { told } = yield* running(first.url, upload(onDisk("film", film)), { wire, uploader: { retry } })
      assert.strictEqual(told, "Uploaded")
      assert.isTrue(sameBytes(TusReference.read(directory, "film"), film))
      assert.isAtMost(wire.bytes, film.length + 4 * mib)
      assert.strictEqual(TusReference.uploads(directory).length, 1)
    }))

  it.scopedLive("keeps nothing of what was aborted, in one request or in parts", () =>
    Effect.gen(function*() {
      const { directory, url } = yield* fresh
      yield* interruptedAt(10 * mib, url, onDisk("film", film), {})
      yield* interruptedAt(mib, url, onDisk("medium", film.subarray(0, 5 * mib)), {})
      assert.deepStrictEqual(TusReference.uploads(directory), [])
    }))

  it.scopedLive("stores a file of unknown length", () =>
    Effect.gen(function*() {
      const { directory, url } = yield* fresh
      for (const size of [0, 1, 4 * mib, 9 * mib + 1]) {
        const bytes = film.subarray(0, size)
        const source = ByteSource.fromStream(Stream.make(bytes.subarray(0, size / 2), bytes.subarray(size / 2)))
        const { told } = yield* running(url, upload(UploadFile.make(`unknown ${size}`, source)))
        assert.strictEqual(told, "Uploaded")
        assert.isTrue(sameBytes(TusReference.read(directory, `unknown ${size}`), bytes), String(size))
      }
    }))

  it.scopedLive("starts an expired upload over", () =>
    Effect.gen(function*() {
      const directory = path.join(yield* TemporaryDirectory.make, "store")
      const journal = path.join(yield* TemporaryDirectory.make, "journal")
      const first = yield* TusReference.serveAlone({ directory })
      yield* interruptedAt(10 * mib, first.url, onDisk("film", film), { journal })
      yield* first.kill
      const [before] = TusReference.uploads(directory)
      TusReference.age(before!)
      const second = yield* TusReference.serve({ directory, port: first.port, expires: 60_000 })
      const wire = new Wire()
      const { told } = yield* running(second.url, upload(onDisk("film", film)), { journal, wire })
      assert.strictEqual(told, "Uploaded")
      assert.strictEqual(wire.bytes, film.length)
      assert.isTrue(sameBytes(TusReference.read(directory, "film"), film))
    }))

  it.scopedLive("refuses what is too large, and nothing is sent", () =>
    Effect.gen(function*() {
      const directory = path.join(yield* TemporaryDirectory.make, "store")
      const { url } = yield* TusReference.serve({ directory, maxSize: 10 * mib })
      const wire = new Wire()
      const { told } = yield* running(url, upload(onDisk("film", film)), { wire })
      assert.include(told, "at most 10.0 MiB")
      assert.deepStrictEqual(wire.asked, ["OPTIONS"])
    }))
})

describe("a server that concatenates and verifies checksums", () => {
  it.scopedLive("is sent the parts at once, and those that it has are not sent again by another process", () =>
    Effect.gen(function*() {
      const { model, url } = yield* TusHttp.serve()
      const journal = path.join(yield* TemporaryDirectory.make, "journal")
      const reached = yield* Deferred.make<void>()
      const wire = new Wire()
      // The fourth part and those after it are stuck.
      wire.onBytes = (sent) =>
        sent <= 3 * mib ? Effect.void : Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)
      const fiber = yield* Effect.fork(
        running(url, upload(onDisk("film", film), { onInterrupt: "keep" }), {
          journal,
          wire,
          uploader: { partConcurrency: 1, partSize: mib, multipartThreshold: mib }
        })
      )
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(model.uploads.size, 3)
      const second = new Wire()
      const { told } = yield* running(url, upload(onDisk("film", film)), {
        journal,
        wire: second,
        uploader: { partSize: mib, multipartThreshold: mib }
      })
      assert.strictEqual(told, "Uploaded")
      assert.isTrue(sameBytes(model.whole().get("film"), film))
      assert.strictEqual(second.bytes, film.length - 3 * mib)
      assert.strictEqual(model.uploads.size, 1)
    }))
})
