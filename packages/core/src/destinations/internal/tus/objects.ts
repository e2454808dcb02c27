/**
 * The objects of a tus server: look, read and remove. A server does not list its uploads, so the address of each one is
 * looked up.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type { Destination, Head } from "../../../Destination.js"
import * as OwnFunction from "../../../internal/calls/ownFunction.js"
import { isMissing, isSuccess, withBeginning } from "../../../internal/transport/answers.js"
import { Rejected } from "../../../UploadError.js"
import type { UploadError } from "../../../UploadError.js"
import { isPath } from "./server.js"
import type { Server } from "./server.js"
import * as Uploads from "./uploads.js"

/** The addresses of uploads, by key. */
export type Locations =
  | ReadonlyMap<string, string>
  | ((key: string) => Effect.Effect<Option.Option<string>, UploadError>)

/** Looks at an upload by the path that it was stored with. */
export const headAt = (server: Server, path: string, key: string): Effect.Effect<Option.Option<Head>, UploadError> =>
  !isPath(path)
    ? Effect.succeedNone
    : Effect.flatMap(server.ask({ method: "HEAD", path }), (answer) => {
      if (isMissing(answer)) return Effect.succeedNone
      if (!isSuccess(answer)) return server.refused(answer, path)
      const { offset } = Uploads.stateOf(answer)
      return offset === undefined ? Effect.fail(Uploads.silent(server.name, key)) : Effect.succeedSome({ size: offset })
    })

/** The verbs of a destination that need the addresses of its objects. */
export const verbs = (
  server: Server,
  locations: Locations
): Pick<Destination["Type"], "head" | "read" | "remove"> => {
  const pathOf = (key: string): Effect.Effect<Option.Option<string>, UploadError> =>
    Effect.flatMap(
      typeof locations === "function"
        ? lookedUp(locations, key)
        : Effect.succeed(Option.fromNullable(locations.get(key))),
      Option.match({
        onNone: () => Effect.succeedNone,
        onSome: (url) =>
          Either.mapBoth(server.pathOf(url), { onLeft: () => elsewhere(server.name, key), onRight: Option.some })
      })
    )

  const head = (key: string): Effect.Effect<Option.Option<Head>, UploadError> =>
    Effect.flatMap(
      pathOf(key),
      Option.match({ onNone: () => Effect.succeedNone, onSome: (path) => headAt(server, path, key) })
    )

  const read = (key: string): Stream.Stream<Uint8Array, UploadError> =>
    Stream.unwrapScoped(Effect.gen(function*() {
      const path = yield* pathOf(key)
      if (Option.isNone(path)) return Stream.fail(unknown(server.name, key))
      const answer = yield* server.open({ method: "GET", path: path.value })
      if (isSuccess(answer)) return answer.stream
      return notServing.has(answer.status)
        ? Stream.fail(unserved(server.name, answer.status))
        : Stream.fromEffect(Effect.flatMap(withBeginning(answer), (said) => server.refused(said, path.value)))
    }))

  const remove = (key: string): Effect.Effect<void, UploadError> =>
    Effect.flatMap(
      pathOf(key),
      Option.match({
        onNone: () => Effect.fail(unknown(server.name, key)),
        onSome: (path) =>
          server.offer.extensions.includes("termination")
            ? Uploads.remove(server, path)
            : Effect.fail(keeping(server.name))
      })
    )

  return { head, read, remove }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const lookedUp = (
  locations: (key: string) => Effect.Effect<Option.Option<string>, UploadError>,
  key: string
): Effect.Effect<Option.Option<string>, UploadError> =>
  OwnFunction.asked(
    "The function `locations`",
    () => locations(key),
    (found: unknown) =>
      Option.isOption(found) && Option.match(found, { onNone: () => true, onSome: Predicate.isString })
        ? undefined
        : `answered with ${OwnFunction.kindOf(found)} instead of an Option of an address`
  )

/** The answers to `GET` of servers that only accept uploads: the protocol does not define `GET`. */
const notServing: ReadonlySet<number> = new Set([404, 405, 410, 501])

const unserved = (name: string, status: number) =>
  new Rejected({
    reason: "Unsupported",
    detail: `${name} does not let uploads be read: it answered ${status} to GET.`
  })

const unknown = (name: string, key: string) =>
  new Rejected({ reason: "NotFound", detail: `The address of ${key} at ${name} is not known.` })

const elsewhere = (name: string, key: string) =>
  new Rejected({ reason: "Unexpected", detail: `The address given for ${key} is not at ${name}.` })

const keeping = (name: string) =>
  new Rejected({ reason: "Unsupported", detail: `${name} does not remove uploads: it does not support termination.` })
