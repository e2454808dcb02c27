import { assert, describe, it } from "@effect/vitest"
import { Uploader, UploadFile } from "@sluice/core"
import type { Destination } from "@sluice/core"
import * as Tus from "@sluice/core/destinations/Tus"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Either, Layer, Option, Stream } from "effect"
import * as fs from "node:fs"
import * as TemporaryDirectory from "../../../support/TemporaryDirectory.js"
import * as TusHttp from "../../../support/TusHttp.js"
import * as TusReference from "../../../support/TusReference.js"

const outcome = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.either(effect), Either.match({ onLeft: ({ message }) => message, onRight: (value) => value }))

type Type = Destination.Destination["Type"]

interface Verbs {
  readonly head: NonNullable<Type["head"]>
  readonly read: NonNullable<Type["read"]>
  readonly remove: NonNullable<Type["remove"]>
}

/** What a destination does that knows the addresses, here a list of them. */
const knowing = <A, E>(
  url: string,
  locations: Tus.Locations,
  use: (destination: Verbs) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const { head, read, remove } = yield* Tus.make({ url, locations })
    assert.isDefined(head)
    assert.isDefined(read)
    assert.isDefined(remove)
    return yield* use({ head: head!, read: read!, remove: remove! })
  }).pipe(Effect.provide(TransportNode.layer()), Effect.scoped)

describe("a tus server whose addresses are known", () => {
  it.scopedLive("is looked up, read, and emptied", () =>
    Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.make
      const { url } = yield* TusReference.serve({ directory })
      const locations = new Map<string, string>()
      yield* Effect.flatMap(
        Uploader.Uploader,
        (uploader) => uploader.uploadAll([UploadFile.fromText("a b.txt", "hello"), UploadFile.fromText("empty", "")])
      ).pipe(Effect.provide(
        Uploader.layer().pipe(
          Layer.provide(Tus.layer({
            url,
            onStored: (uploaded) => Effect.sync(() => void locations.set(uploaded.key, uploaded.url))
          })),
          Layer.provide(TransportNode.layer())
        )
      ))
      yield* knowing(url, locations, ({ head, read, remove }) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* head("a b.txt"), Option.some({ size: 5 }))
          assert.deepStrictEqual(yield* head("empty"), Option.some({ size: 0 }))
          assert.deepStrictEqual(yield* head("c"), Option.none())
          assert.strictEqual(yield* Stream.mkString(Stream.decodeText(read("a b.txt"))), "hello")
          assert.strictEqual(yield* outcome(Stream.runDrain(read("c"))), `The address of c at ${url} is not known.`)
          assert.strictEqual(yield* outcome(remove("c")), `The address of c at ${url} is not known.`)
          yield* remove("a b.txt")
          yield* remove("a b.txt")
          assert.deepStrictEqual(yield* head("a b.txt"), Option.none())
        }))
      assert.deepStrictEqual(TusReference.list(directory), ["empty"])
      // By a function, which may ask elsewhere.
      const asking = (key: string) => Effect.succeed(Option.fromNullable(locations.get(key)))
      assert.deepStrictEqual(yield* knowing(url, asking, ({ head }) => head("empty")), Option.some({ size: 0 }))
      fs.rmSync(directory, { recursive: true })
    }))

  it.scopedLive("that serves nothing and removes nothing says so, and never the address", () =>
    Effect.gen(function*() {
      const { model, url } = yield* TusHttp.serve({ extensions: ["creation"] })
      const secret = "CANARY-of-the-upload"
      model.uploads.set(`/files/${secret}`, {
        bytes: Buffer.from("abc"),
        length: 3,
        metadata: undefined,
        concat: undefined
      })
      const told = yield* knowing(
        url,
        new Map([["a", `${url}${secret}`], ["gone", `${url}${secret}-gone`], ["x", "http://127.0.0.1:1/files/1"]]),
        ({ head, read, remove }) =>
          Effect.all([
            head("a"),
            head("gone"),
            outcome(Stream.runDrain(read("a"))),
            outcome(remove("a")),
            outcome(head("x"))
          ])
      )
      assert.deepStrictEqual(told, [
        Option.some({ size: 3 }),
        Option.none(),
        `${url} does not let uploads be read: it answered 405 to GET.`,
        `${url} does not remove uploads: it does not support termination.`,
        `The address given for x is not at ${url}.`
      ])
      assert.notInclude(JSON.stringify(told), secret)
      const { head } = yield* Effect.provide(Tus.make({ url }), TransportNode.layer())
      assert.isUndefined(head)
    }))

  it.scopedLive("that refuses repeats no address", () =>
    Effect.gen(function*() {
      const secret = "CANARY-of-the-upload"
      const { url } = yield* TusHttp.serve({
        fault: ({ method, path }) =>
          method === "OPTIONS" ? undefined : { answer: { status: 403, headers: {}, body: `no ${path}` } }
      })
      const told = yield* knowing(
        url,
        new Map([["a", `${url}${secret}?key=${secret}`]]),
        ({ head, read, remove }) =>
          Effect.all([outcome(head("a")), outcome(Stream.runDrain(read("a"))), outcome(remove("a"))])
      )
      assert.deepStrictEqual(told, [
        `${url} answered 403`,
        `${url} answered 403: no <redacted>`,
        `${url} answered 403: no <redacted>`
      ])
    }))
})
