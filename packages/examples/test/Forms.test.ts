import { HttpServer } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Destination, Uploader } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import { Context, Deferred, Effect, Layer } from "effect"
import * as http from "node:http"
import * as FormToStorage from "../src/form-to-storage.js"

const mib = 1024 * 1024

const boundary = "----form"

const head = (name: string): string =>
  `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n` +
  "Content-Type: application/octet-stream\r\n\r\n"

/** A form as a browser sends it. */
const form = (files: Readonly<Record<string, Buffer>>): Buffer =>
  Buffer.concat([
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="title"\r\n\r\nHolidays\r\n`),
    ...Object.entries(files).flatMap(([name, content]) => [Buffer.from(head(name)), content, Buffer.from("\r\n")]),
    Buffer.from(`--${boundary}--\r\n`)
  ])

const request = (address: string) =>
  http.request(`${address}/forms/ada`, {
    method: "POST",
    headers: { "content-type": `multipart/form-data; boundary=${boundary}` }
  })

const send = (address: string, body: Buffer) =>
  Effect.async<readonly [status: number | undefined, answer: unknown]>((resume) => {
    const sending = request(address)
    sending.on("response", (response) => {
      let text = ""
      response.on("data", (block: Buffer) => text += block.toString())
      response.on("end", () => resume(Effect.succeed([response.statusCode, JSON.parse(text)])))
    })
    sending.on("error", (error) => resume(Effect.die(error)))
    sending.end(body)
  })

/** The server on 127.0.0.1, its storage, and the moments of it that a test waits for. */
const serve = Effect.gen(function*() {
  const { destination, network } = yield* Simulated.make({ observe: true })
  const stored = yield* Deferred.make<void>()
  const aborted = yield* Deferred.make<void>()
  const { multipart } = destination
  assert(multipart !== undefined)
  const watched: Destination.Destination["Type"] = {
    ...destination,
    // As most storage, it has to know the size of an object, or takes it in parts.
    capabilities: { ...destination.capabilities, unknownSize: false },
    multipart: {
      ...multipart,
      uploadPart: (part) => Effect.zipLeft(multipart.uploadPart(part), Deferred.succeed(stored, undefined)),
      abort: (session) => Effect.zipLeft(multipart.abort(session), Deferred.succeed(aborted, undefined))
    }
  }
  const context = yield* Layer.build(FormToStorage.ServerLayer.pipe(
    Layer.provideMerge(Uploader.layer({ memory: "64 MiB" })),
    Layer.provide(Layer.succeed(Destination.Destination, watched)),
    Layer.provideMerge(NodeHttpServer.layer(() => http.createServer(), { port: 0, host: "127.0.0.1" }))
  ))
  const { address } = Context.get(context, HttpServer.HttpServer)
  assert(address._tag === "TcpAddress")
  const { limits } = Context.get(context, Uploader.Uploader)
  return { url: `http://127.0.0.1:${address.port}`, network, limits, stored, aborted }
})

describe("form-to-storage", () => {
  it.scopedLive("stores the files of a form, and answers which of them it has not", () =>
    Effect.gen(function*() {
      const { network, url } = yield* serve
      const film = Buffer.alloc(20 * mib, 7)
      const answer = yield* send(
        url,
        form({ "notes.txt": Buffer.from("hello"), "..": Buffer.alloc(3 * mib), "film.mkv": film })
      )
      assert.deepStrictEqual(answer, [422, [
        { key: "ada/..", error: "The key \"ada/..\" contains a \"..\" segment." },
        { key: "ada/notes.txt", result: "Uploaded" },
        { key: "ada/film.mkv", result: "Uploaded" }
      ]])
      assert.deepStrictEqual(network.objects.get("ada/film.mkv")?.bytes, new Uint8Array(film))
      assert.deepStrictEqual([...network.objects.keys()].sort(), ["ada/film.mkv", "ada/notes.txt"])
    }))

  it.scopedLive("aborts what a client was sending that has disconnected, and serves the next one", () =>
    Effect.gen(function*() {
      const { aborted, limits, network, stored, url } = yield* serve
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => request(url).on("error", () => {})),
        (client) => Effect.sync(() => client.destroy())
      )
      client.write(head("film.mkv"))
      client.write(Buffer.alloc(20 * mib, 7))
      // A part is there, and the rest of the film never comes.
      yield* Deferred.await(stored)
      assert.lengthOf(yield* network.sessions, 1)
      client.destroy()
      yield* Deferred.await(aborted)
      assert.deepStrictEqual(yield* network.sessions, [])
      const answer = yield* send(url, form({ "notes.txt": Buffer.from("hello") }))
      assert.deepStrictEqual(answer, [201, [{ key: "ada/notes.txt", result: "Uploaded" }]])
      assert.deepStrictEqual([...network.objects.keys()], ["ada/notes.txt"])
      assert.deepStrictEqual([yield* network.inFlight, yield* limits.inUse], [0, 0])
    }))
})
