import { Effect, Layer } from "effect"
import { Uploader, Strategy } from "@sluice/core"
import * as LocalDirectory from "@sluice/core/destinations/LocalDirectory"
import * as Http from "@sluice/core/destinations/Http"
import * as FilesNode from "@sluice/core/FilesNode"
import { NodeContext, NodeHttpClient } from "@effect/platform-node"
const [src, dst, conc] = process.argv.slice(2)
const dest = dst.startsWith("http") ? Http.layer({ url: dst }).pipe(Layer.provide(NodeHttpClient.layerUndici)) : LocalDirectory.layer({ root: dst }).pipe(Layer.provide(NodeContext.layer))
const c0 = process.cpuUsage(), t0 = performance.now()
const r = await Effect.runPromise(Effect.flatMap(Uploader.Uploader, u => u.uploadAll(FilesNode.directory(src))).pipe(Effect.provide(Uploader.layer({ strategy: conc === "inf" ? Strategy.unlimited : Strategy.workerPool({ workers: Number(conc ?? 16) }) }).pipe(Layer.provide(dest)))))
console.log(JSON.stringify(r), process.cpuUsage(c0), process.resourceUsage().maxRSS/1024)
