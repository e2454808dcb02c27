/**
 * User code that a destination calls, an effect for credentials or a function for addresses, may be untyped: its mistakes
 * fail the file and are reported as its own, without the value, which may be a secret.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Destination, Transport } from "@sluice/core"
import { RetryPolicy, Uploader, UploadError, UploadFile } from "@sluice/core"
import * as Http from "@sluice/core/destinations/Http"
import * as S3 from "@sluice/core/destinations/S3"
import * as Tus from "@sluice/core/destinations/Tus"
import { Data, Effect, Layer, Redacted } from "effect"
import { answering, credentials } from "../support/S3Answers.js"

class OwnError extends Data.TaggedError("OwnError")<{ readonly message: string }> {}

const canary = "canary-4711"

const upload = (destination: Layer.Layer<Destination.Destination, never, Transport.Transport>) => {
  const { layer, seen } = answering(() => ({}))
  return Effect.flatMap(Uploader.Uploader, (uploader) => uploader.upload(UploadFile.fromText("k", "hello"))).pipe(
    Effect.provide(
      Uploader.layer({ retry: RetryPolicy.none }).pipe(Layer.provide(destination), Layer.provide(layer))
    ),
    Effect.either,
    Effect.map((result) => {
      const error = result._tag === "Left" ? result.left : undefined
      return { error, message: error?.message ?? "", sent: seen.length }
    })
  )
}

/** What somebody's effect may be, or a function of theirs may give, and what is said of it. */
const given: Readonly<Record<string, readonly [give: () => unknown, said: RegExp]>> = {
  "gives nothing": [() => undefined, /^(.*) gave undefined instead of an Effect\.$/],
  "gives a Promise": [() => Promise.resolve(canary), /^(.*) gave a Promise instead of an Effect\.$/],
  "gives text": [() => canary, /^(.*) gave a string instead of an Effect\.$/],
  "dies": [() => Effect.die(new TypeError("no session")), /^(.*) failed unexpectedly: TypeError: no session$/],
  "fails with nothing": [() => Effect.fail(undefined), /^(.*) failed with undefined, which is not an UploadError\.$/],
  "fails with an error of its own": [
    () => Effect.fail(new OwnError({ message: "no session" })),
    /^(.*) failed with OwnError: no session, which is not an UploadError\.$/
  ],
  "fails with an address that it asked": [
    () =>
      Effect.fail(new OwnError({ message: `Transport error (GET https://me:${canary}@broker/sign?token=${canary})` })),
    /^(.*) failed with OwnError: Transport error \(GET https:\/\/broker\/sign\), which is not an UploadError\.$/
  ],
  "fails with an object": [
    () => Effect.fail({ canary }),
    /^(.*) failed with an object, which is not an UploadError\.$/
  ],
  "answers nothing": [() => Effect.void, /^(.*) answered with undefined instead of (?:an address|credentials)\.$/],
  "answers a number": [
    () => Effect.succeed(4711),
    /^(.*) answered with a number instead of (?:an address|credentials)\.$/
  ]
}

const throws = () => {
  throw new TypeError("no session")
}

describe("the function `urls`", () => {
  const presigned = (urls: unknown) => upload(Http.layerPresigned({ urls } as never))

  const wrong = (urls: unknown) =>
    Effect.map(presigned(urls), ({ error, message, sent }) => {
      assert.instanceOf(error, UploadError.Rejected)
      assert.deepStrictEqual([error.reason, sent], ["Unexpected", 0])
      assert.notInclude(message, "4711")
      assert.notInclude(message, "driver")
      return message
    })

  for (const [what, [give, said]] of Object.entries(given)) {
    it.effect(`that ${what} is named`, () =>
      Effect.gen(function*() {
        assert.strictEqual(said.exec(yield* wrong(give))?.[1], "The function `urls`")
      }))
  }

  it.effect("that throws is named", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* wrong(throws), "The function `urls` failed unexpectedly: TypeError: no session")
    }))

  it.effect("may fail as uploads do", () =>
    Effect.gen(function*() {
      const error = new UploadError.AuthExpired({ detail: "Sign in again." })
      assert.strictEqual((yield* presigned(() => Effect.fail(error))).message, "Sign in again.")
      assert.strictEqual((yield* presigned(() => Effect.succeed("http://host/k?s=1"))).error, undefined)
    }))

  it.effect("gives addresses with headers that are text", () =>
    Effect.gen(function*() {
      const address = (found: object) => wrong(() => Effect.succeed(found))
      assert.strictEqual(yield* address({}), "The function `urls` answered with an object without a `url`.")
      assert.strictEqual(
        yield* address({ url: "http://host/", headers: { "x-a": 4711 } }),
        "The function `urls` answered with headers that are not text."
      )
      assert.strictEqual(
        yield* address({ url: "http://host/", headers: null }),
        "The function `urls` answered with headers that are not text."
      )
    }))

  it.effect("is a list if there is one, and its entries are checked, too", () =>
    Effect.gen(function*() {
      for (const list of [{ k: 4711 }, new Map([["k", 4711]])]) {
        assert.strictEqual(yield* wrong(list), "The list `urls` has a number instead of an address for \"k\".")
      }
      assert.strictEqual(
        yield* wrong({ k: { uri: canary } }),
        "The list `urls` has an object without a `url` for \"k\"."
      )
    }))
})

describe("the effect `credentials`", () => {
  const asked = (found: unknown) => upload(S3.layer({ bucket: "examplebucket", credentials: found as never }))

  const wrong = (found: unknown) =>
    Effect.map(asked(found), ({ error, message, sent }) => {
      assert.instanceOf(error, UploadError.Rejected)
      assert.deepStrictEqual([error.reason, sent], ["Unexpected", 0])
      assert.notInclude(message, "4711")
      assert.notInclude(message, "driver")
      return message
    })

  for (const [what, [give, said]] of Object.entries(given)) {
    it.effect(`that ${what} is named`, () =>
      Effect.gen(function*() {
        assert.strictEqual(said.exec(yield* wrong(give()))?.[1], "The effect `credentials`")
      }))
  }

  it.effect("is an Effect, and neither a function nor credentials", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* wrong(throws), "The effect `credentials` gave a function instead of an Effect.")
      assert.strictEqual(yield* wrong(credentials), "The effect `credentials` gave an object instead of an Effect.")
    }))

  it.effect("may fail as uploads do", () =>
    Effect.gen(function*() {
      const error = new UploadError.AuthExpired({ detail: "Sign in again." })
      assert.strictEqual((yield* asked(Effect.fail(error))).message, "Sign in again.")
      assert.strictEqual((yield* asked(Effect.succeed(credentials))).error, undefined)
    }))

  it.effect("answers with a key and a secret that is Redacted", () =>
    Effect.gen(function*() {
      const problems: ReadonlyArray<readonly [change: object, said: string]> = [
        [{ accessKeyId: undefined }, "an `accessKeyId` that is undefined instead of text"],
        [{ secretAccessKey: canary }, "a `secretAccessKey` that is a string instead of Redacted text"],
        [{ secretAccessKey: Redacted.make(4711) }, "a `secretAccessKey` that is an object instead of Redacted text"],
        [{ sessionToken: canary }, "a `sessionToken` that is a string instead of Redacted text"],
        [{ expiresAt: new Date(4711) }, "an `expiresAt` that is an object instead of milliseconds since the epoch"],
        [{ expiresAt: NaN }, "an `expiresAt` that is a number instead of milliseconds since the epoch"]
      ]
      for (const [change, said] of problems) {
        const message = yield* wrong(Effect.succeed({ ...credentials, ...change }))
        assert.strictEqual(message, `The effect \`credentials\` answered with ${said}.`)
      }
    }))
})

describe("the function `locations` of a tus server", () => {
  for (const [what, [give, said]] of Object.entries(given)) {
    it.effect(`that ${what} is named`, () =>
      Effect.gen(function*() {
        const { layer } = answering(() => ({}))
        const tus = Tus.make({ url: "http://host/", offer: { extensions: [] }, locations: give as never })
        const error = yield* Effect.flip(Effect.flatMap(tus, ({ head }) => head!("k"))).pipe(Effect.provide(layer))
        assert.instanceOf(error, UploadError.Rejected)
        assert.notInclude(error.message, "4711")
        const other = error.message.replace("an Option of an address", "an address")
        assert.strictEqual(said.exec(other)?.[1], "The function `locations`")
      }))
  }
})
