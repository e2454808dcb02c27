/**
 * A destination around another one, whose verbs can be held, cut off or made to lose their answers; it tells what was
 * asked for. It needs nothing of the server, so that it works on every destination.
 */
import { Destination, UploadError } from "@sluice/core"
import { Context, Deferred, Effect, Layer } from "effect"

/** The request: `put`, `create`, `part 3`, `list`, `complete`, `abort`. */
export type Stage = string

/**
 * What becomes of it: it waits for good, before or after it was done; it waits until it may go on, done already; it is
 * done, and its answer is lost; or something else is told of what was stored.
 */
export type Fate =
  | { readonly _tag: "Hang"; readonly done: boolean }
  | { readonly _tag: "Wait" }
  | { readonly _tag: "Lost" }
  | { readonly _tag: "Tells"; readonly stored: Destination.Stored }

export class Stages extends Context.Tag("@sluice/core/test/Stages")<Stages, {
  /** All that was asked for, in order. */
  readonly asked: () => ReadonlyArray<Stage>
  /** The fate of a stage the next time. */
  readonly next: (stage: Stage, fate: Fate) => Effect.Effect<void>
  /** Waits until a fate was met. */
  readonly met: Effect.Effect<void>
  /** Lets what waits go on. */
  readonly goOn: Effect.Effect<void>
}>() {}

const lost = new UploadError.Transient({ reason: "Connection", detail: "The answer was lost." })

const wrapped = (destination: Destination.Destination["Type"]) =>
  Effect.gen(function*() {
    const asked: Array<Stage> = []
    const fates = new Map<Stage, Fate>()
    const met = yield* Deferred.make<void>()
    const goOn = yield* Deferred.make<void>()

    const staged = <A>(
      stage: Stage,
      verb: Effect.Effect<A, UploadError.UploadError>,
      tell: (told: Destination.Stored, is: A) => A = (_, is) => is
    ): Effect.Effect<A, UploadError.UploadError> =>
      Effect.suspend(() => {
        asked.push(stage)
        const fate = fates.get(stage)
        if (fate === undefined) return verb
        fates.delete(stage)
        const meet = Deferred.succeed(met, undefined)
        switch (fate._tag) {
          case "Hang":
            return Effect.zipRight(fate.done ? verb : Effect.void, Effect.zipRight(meet, Effect.never))
          case "Wait":
            return Effect.tap(verb, () => Effect.zipRight(meet, Deferred.await(goOn)))
          case "Lost":
            return Effect.zipRight(verb, Effect.zipRight(meet, Effect.fail(lost)))
          case "Tells":
            return Effect.map(verb, (is) => tell(fate.stored, is))
        }
      })

    const { multipart } = destination
    return {
      destination: Destination.Destination.of({
        ...destination,
        put: (request) => staged("put", destination.put(request), (told, is) => ({ ...is, ...told })),
        ...(multipart !== undefined && {
          multipart: {
            ...multipart,
            create: (request) => staged("create", multipart.create(request)),
            uploadPart: (request) => staged(`part ${request.number}`, multipart.uploadPart(request)),
            listParts: (session) => staged("list", multipart.listParts(session)),
            complete: (request) => staged("complete", multipart.complete(request), (told, is) => ({ ...is, ...told })),
            abort: (session) => staged("abort", multipart.abort(session))
          }
        })
      }),
      stages: Stages.of({
        asked: () => asked,
        next: (stage, fate) => Effect.sync(() => void fates.set(stage, fate)),
        met: Deferred.await(met),
        goOn: Effect.asVoid(Deferred.succeed(goOn, undefined))
      })
    }
  })

/** The destination of a layer with its verbs in hand. */
export const around = <R, E, In>(
  layer: Layer.Layer<Destination.Destination | R, E, In>
): Layer.Layer<Destination.Destination | R | Stages, E, In> =>
  Layer.flatMap(layer, (context) =>
    Layer.effectContext(
      Effect.map(
        wrapped(Context.get(context, Destination.Destination)),
        ({ destination, stages }) =>
          Context.add(Context.add(context, Destination.Destination, destination), Stages, stages)
      )
    ))
