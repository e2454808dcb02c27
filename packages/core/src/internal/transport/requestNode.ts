/**
 * One request on a connection, and as much of its answer as arrives.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Dispatcher } from "undici"
import * as ByteSource from "../../ByteSource.js"
import { answerLimit, answerMillis, idleMillis, renderUrl } from "../../Transport.js"
import type { Answer, Request } from "../../Transport.js"
import type { UploadError } from "../../UploadError.js"
import type { Connection, Rider } from "./connectionsNode.js"
import * as Failures from "./failures.js"
import type * as KernelQueues from "./kernelQueuesNode.js"

type Outcome = Effect.Effect<Answer, UploadError>

/**
 * Receives the answer. An answer that arrives in one go is one step of the fiber; only others are timed by the clock.
 */
export class Exchange implements Dispatcher.DispatchHandler, Rider {
  /** The proxy on the way, by its name in messages. */
  proxy: string | undefined = undefined
  private readonly request: Request
  private line: Connection | undefined = undefined
  private resume: ((outcome: Outcome) => void) | undefined
  private outcome: Outcome | undefined = undefined
  private controller: Dispatcher.DispatchController | undefined = undefined
  private isAborted = false
  private status = 0
  private headers: Record<string, string> = {}
  private readonly blocks: Array<Uint8Array> = []
  private size = 0

  constructor(request: Request, resume: (outcome: Outcome) => void) {
    this.request = request
    this.resume = resume
  }

  takes(line: Connection): void {
    this.line = line
  }

  /** The progress of the request's bytes. */
  position(queues: KernelQueues.Queues): string {
    return this.line?.position(queues) ?? ""
  }

  /** Ends the request at once: closes its connection, or never gives it one. */
  abort(): void {
    this.isAborted = true
    this.controller?.abort(aborted())
  }

  fail(error: UploadError): void {
    this.settle(Effect.fail(error))
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Throwing here leaves the connection to other requests.
    if (this.isAborted) throw aborted()
    this.controller = controller
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | Array<string> | undefined>
  ): void {
    // Statuses below 200 come before the answer.
    if (status < 200) return
    this.status = status
    this.headers = flat(headers)
    if (headers["content-length"] !== "0") queueMicrotask(() => this.linger())
  }

  onResponseData(controller: Dispatcher.DispatchController, block: Uint8Array): void {
    const room = (this.request.answerBytes ?? answerLimit) - this.size
    this.size += block.length
    if (room > 0) this.blocks.push(block.subarray(0, room))
    if (block.length > room) {
      this.settle(Effect.succeed(this.answer(true)))
      controller.abort(aborted())
    }
  }

  onResponseEnd(): void {
    const { body, keepsBody } = this.request
    // A server that reports success has read the body.
    const isRead = this.status >= 200 && this.status < 300 && keepsBody !== true
    if (isRead && body !== undefined && "release" in body) body.release()
    this.settle(this.status === 0 ? Effect.fail(this.failed(undefined)) : Effect.succeed(this.answer(false)))
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: unknown): void {
    this.settle(this.status === 0 ? Effect.fail(this.failed(error)) : Effect.succeed(this.answer(true)))
  }

  private answer(isCut: boolean): Answer {
    const { blocks, headers, status } = this
    const body = blocks.length === 0 ? nothing : ByteSource.concat(blocks)
    return isCut ? { status, headers, body, isCut } : { status, headers, body }
  }

  private failed(error: unknown): UploadError {
    return Failures.failed(renderUrl(this.request.url), error, this.proxy)
  }

  private settle(outcome: Outcome): void {
    if (this.outcome !== undefined) return
    this.outcome = outcome
    this.resume?.(outcome)
  }

  /** The head has arrived, but not yet the rest. */
  private linger(): void {
    if (this.outcome !== undefined) return
    const { resume } = this
    this.resume = undefined
    resume?.(Effect.raceFirst(this.rest, this.patience))
  }

  private get rest(): Outcome {
    return Effect.async((resume) => {
      if (this.outcome !== undefined) return resume(this.outcome)
      this.resume = resume
      return Effect.sync(() => this.abort())
    })
  }

  /** Waits until the rest has taken too long, and returns what there is. */
  private get patience(): Outcome {
    return Effect.gen(this, function*() {
      let left = this.request.answerMillis ?? answerMillis
      while (left > 0) {
        const { size } = this
        const since = yield* Clock.currentTimeMillis
        yield* Effect.sleep(Duration.millis(Math.min(left, idleMillis)))
        left -= Math.max(1, (yield* Clock.currentTimeMillis) - since)
        if (size === this.size) break
      }
      return this.answer(true)
    })
  }
}

/** The headers of an answer; repeated ones are joined. */
export const flat = (headers: Record<string, string | Array<string> | undefined>): Record<string, string> =>
  areFlat(headers) ? headers : flattened(headers)

const areFlat = (
  headers: Record<string, string | Array<string> | undefined>
): headers is Record<string, string> => {
  for (const name in headers) if (typeof headers[name] !== "string") return false
  return true
}

const flattened = (headers: Record<string, string | Array<string> | undefined>): Record<string, string> => {
  const all: Record<string, string> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined) all[name] = typeof value === "string" ? value : value.join(", ")
  }
  return all
}

const nothing = new Uint8Array(0)

const aborted = () => new Error("The request was ended.")
