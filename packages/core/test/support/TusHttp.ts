/**
 * The server in memory, with all of its extensions, over real connections on 127.0.0.1. What arrives of a request that
 * breaks is stored.
 */
import { Context, Effect, Layer } from "effect"
import type { Scope } from "effect"
import type * as http from "node:http"
import * as PutServer from "./PutServer.js"
import * as TusModel from "./TusModel.js"

export interface Running {
  /** Where uploads are created. */
  readonly url: string
  readonly model: TusModel.Model
  /** Waits until no request is being answered. */
  readonly idle: Effect.Effect<void>
}

export class TusHttp extends Context.Tag("@sluice/core/test/TusHttp")<TusHttp, Running>() {}

export const serve = (options: TusModel.Options = {}): Effect.Effect<Running, never, Scope.Scope> => {
  const model = new TusModel.Model({ extensions: TusModel.all, ...options })
  const handler = (incoming: http.IncomingMessage, response: http.ServerResponse): void => {
    const blocks: Array<Buffer> = []
    const request = (): TusModel.Request => ({
      method: incoming.method ?? "",
      path: incoming.url ?? "",
      headers: Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)])),
      body: Buffer.concat(blocks)
    })
    if (incoming.headers["transfer-encoding"] !== undefined) return void response.writeHead(411).end()
    incoming.on("data", (block: Buffer) => blocks.push(block))
    incoming.on("close", () => {
      if (!incoming.complete) model.broken(request(), Infinity)
    })
    incoming.on("end", () => {
      const asked = request()
      const fault = model.faultOf(asked)
      const real = model.handle(asked)
      const answer = typeof fault === "object" && "answer" in fault ? fault.answer : real
      model.note(asked, answer.status)
      if (fault === "answerLost") return void incoming.socket.destroy()
      response.writeHead(answer.status, answer.headers).end(incoming.method === "HEAD" ? undefined : answer.body)
    })
  }
  return Effect.map(PutServer.serve(handler), ({ idle, url }) => ({ url: `${url}/files/`, model, idle }))
}

export const layer = (options?: TusModel.Options): Layer.Layer<TusHttp> =>
  Layer.scoped(TusHttp, Effect.suspend(() => serve(options)))
