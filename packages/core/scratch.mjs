import v8 from "v8"
import { Effect, Layer, Stream } from "effect"
import { Uploader, Strategy, UploadFile, ByteSource, Destination } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
const mode = process.argv[2], N = Number(process.argv[3])
const src = ByteSource.generate(100)
function* files(n) { for (let i = 0; i < n; i++) yield UploadFile.make("f" + i, src) }
function* simfiles(n) { for (let i = 0; i < n; i++) yield UploadFile.make("f" + i, ByteSource.generate(100 + (i * 7919) % 1001)) }
const instant = Layer.succeed(Destination.Destination, { name: "instant", capabilities: { maxPutSize: Infinity, unknownSize: true }, put: ({ body }) => Effect.as(body.bytes, {}) })
const asyncInstant = Layer.succeed(Destination.Destination, { name: "instant", capabilities: { maxPutSize: Infinity, unknownSize: true }, put: ({ body }) => Effect.zipRight(body.bytes, Effect.async(r => { queueMicrotask(() => r(Effect.succeed({}))) })) })
const run = (strategy, dest, fs, opts) => Effect.runPromise(Effect.flatMap(Uploader.Uploader, u => u.uploadAll(fs, opts)).pipe(Effect.provide(Uploader.layer({ strategy }).pipe(Layer.provide(dest)))))
const t0 = performance.now(), c0 = process.cpuUsage()
if (process.env.TAG) setTimeout(() => { v8.writeHeapSnapshot("/tmp/heap-" + process.env.TAG + ".heapsnapshot"); process.exit(0) }, 900)
let peak = 0
const rss = () => { const m = process.memoryUsage().rss; if (m > peak) peak = m }
let r
if (mode === "pool") r = await run(Strategy.workerPool({ workers: 64 }), instant, files(N))
if (mode === "poolasync") r = await run(Strategy.workerPool({ workers: 64 }), asyncInstant, files(N))
if (mode === "poolevents") { let n = 0; r = await run(Strategy.workerPool({ workers: 64 }), asyncInstant, files(N), { onEvent: () => Effect.sync(() => { n++ }) }); console.log(n) }
if (mode === "unl") r = await run(Strategy.unlimited, Simulated.layer({ latencyPerByte: process.env.TAG ? "9 millis" : "1 millis" }), simfiles(N))
if (mode === "bare") { const f = []; await Effect.runPromise(Effect.gen(function*() { const fs = []; for (let i = 0; i < N; i++) fs.push(yield* Effect.fork(Effect.sleep((100 + (i * 7919) % 1001) * (process.env.TAG ? 9 : 1)))); for (const x of fs) yield* x.await })) }
const c = process.cpuUsage(c0), t = performance.now() - t0
console.log(mode, N, "us/file wall", (t * 1000 / N).toFixed(2), "cpu", ((c.user + c.system) / N).toFixed(2), "maxRSS MB", (process.resourceUsage().maxRSS / 1024).toFixed(0), "wall s", (t / 1000).toFixed(2))
if (r) console.log(JSON.stringify(r))
