/**
 * Checks a server before anything is stored there: whether it answers, how fast, whether its clock is right, and what
 * it says about itself. The requests carry no credentials.
 */
import type { Answer, Request, Transport } from "@sluice/core/Transport"
import { renderUrl } from "@sluice/core/Transport"
import { Transient } from "@sluice/core/UploadError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Advice from "../targets/Advice.js"
import type { Remote } from "../targets/TargetLayer.js"
import * as Format from "../terminal/Format.js"
import type { Tell } from "./Finding.js"

/** Sends a request, reports what the server says, and returns whether it answers at all. */
export const run = Effect.fnUntraced(
  function*(
    target: Remote,
    transport: Transport["Type"],
    { region, tell }: { readonly region: string | undefined; readonly tell: Tell }
  ): Effect.fn.Return<boolean> {
    const request = requestFor(target, region)
    const startedAt = yield* Clock.currentTimeMillis
    const answer = yield* Effect.either(
      Effect.timeoutFail(transport.send(request), { duration: patienceMillis, onTimeout: () => silent })
    )
    const endedAt = yield* Clock.currentTimeMillis
    if (Either.isLeft(answer)) {
      const { left } = answer
      yield* tell("server", "problem", left.message, Advice.forError(left, { kind: target._tag, check: "server" }))
      return false
    }
    const { right } = answer
    yield* tell("server", "ok", `${new URL(request.url).origin} answers in ${Format.duration(endedAt - startedAt)}`)
    yield* checkClock(right, (startedAt + endedAt) / 2, tell)
    if (target._tag === "S3") yield* checkRegion(right, region, tell)
    if (target._tag === "Tus") yield* checkTus(right, request, tell)
    return true
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const patienceMillis = 30_000

const silent = new Transient({
  reason: "Connection",
  detail: "The server did not answer within 30 seconds (ETIMEDOUT)."
})

/** A request without secrets that any server of this kind can answer. */
const requestFor = (target: Remote, region: string | undefined): Request => {
  switch (target._tag) {
    case "S3": {
      const server = target.endpoint ?? `https://s3.${region ?? "us-east-1"}.amazonaws.com`
      return { method: "HEAD", url: `${server}/${target.bucket}`, headers: {} }
    }
    case "Tus":
      return { method: "OPTIONS", url: renderUrl(target.url), headers: { "tus-resumable": "1.0.0" } }
    case "Http":
      return { method: "HEAD", url: new URL("/", target.url).href, headers: {} }
  }
}

/** The clock difference that does not matter yet: servers refuse signatures from 15 minutes on. */
const tolerableMillis = 5 * 60_000

const checkClock = ({ headers }: Answer, now: number, tell: Tell): Effect.Effect<void> => {
  const date = Date.parse(headers["date"] ?? "")
  if (Number.isNaN(date)) return tell("clock", "note", "the server does not report its time")
  // The header has a resolution of whole seconds.
  const apart = date + 500 - now
  const far = Format.duration(Math.abs(apart))
  if (Math.abs(apart) <= 2_000) return tell("clock", "ok", "within 2 s of the server's")
  const detail = `this machine is ${far} ${apart > 0 ? "behind" : "ahead of"} the server`
  return Math.abs(apart) <= tolerableMillis
    ? tell("clock", "ok", detail)
    : tell("clock", "note", `${detail}: the first request of every run is refused`, Advice.clock)
}

const checkRegion = ({ headers }: Answer, region: string | undefined, tell: Tell): Effect.Effect<void> => {
  const said = headers["x-amz-bucket-region"]
  if (said === undefined) {
    return tell("region", "ok", region ?? "not set, and the server does not name one")
  }
  return region === undefined || said === region
    ? tell("region", "ok", said)
    : tell(
      "region",
      "note",
      `the bucket is in ${said}, not in ${region}: every run begins with a request to the wrong region`,
      `Use --region ${said}, or set AWS_REGION.`
    )
}

const checkTus = ({ headers, status }: Answer, request: Request, tell: Tell): Effect.Effect<void> => {
  const versions = headers["tus-version"] ?? headers["tus-resumable"]
  if (versions === undefined) {
    return tell(
      "tus",
      "note",
      `${renderUrl(request.url)} answered ${status} and does not say that it speaks tus`,
      "Check the path of the address; for a server that accepts PUT, write https://…"
    )
  }
  const extensions = headers["tus-extension"] ?? "no extensions"
  return versions.split(",").map((version) => version.trim()).includes("1.0.0")
    ? tell("tus", "ok", `1.0.0, with ${extensions.replaceAll(",", ", ")}`)
    : tell("tus", "problem", `the server speaks tus ${versions}`, "Sluice speaks tus 1.0.0.")
}
