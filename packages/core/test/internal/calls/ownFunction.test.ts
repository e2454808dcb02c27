import { assert, describe, it } from "@effect/vitest"
import { UploadError } from "@sluice/core"
import { Data, Effect } from "effect"
import * as OwnFunction from "../../../src/internal/calls/ownFunction.js"

class OwnError extends Data.TaggedError("OwnError")<{ readonly message: string }> {}

const messageOf = (ask: () => unknown) =>
  Effect.map(
    Effect.flip(OwnFunction.asked("The function `urls`", ask as () => Effect.Effect<string>, () => undefined)),
    (error) => error.message
  )

describe("a user's function that fails", () => {
  it.effect("is quoted without secrets in addresses, wherever these are", () =>
    Effect.gen(function*() {
      const secret = "canary"
      const said =
        `https://me:${secret}@broker/sign?token=${secret} (HTTP://me@host/a#${secret}) <git+ssh://${secret}@x/y>`
      for (const ask of [() => Effect.fail(new OwnError({ message: said })), () => Effect.die(new Error(said))]) {
        const message = yield* messageOf(ask)
        assert.notInclude(message, secret)
        assert.include(message, "https://broker/sign (HTTP://host/a) <git+ssh://x/y>")
      }
    }))

  it.effect("is reported with the kind of value it returned, never with the value", () =>
    Effect.gen(function*() {
      for (
        const [given, kind] of [
          ["canary", "a string"],
          [undefined, "undefined"],
          [null, "null"],
          [{ token: "canary" }, "an object"],
          [Promise.resolve("canary"), "a Promise"],
          [7, "a number"]
        ] as const
      ) {
        assert.strictEqual(yield* messageOf(() => given), `The function \`urls\` gave ${kind} instead of an Effect.`)
        const failed = yield* messageOf(() => Effect.fail(given))
        assert.strictEqual(failed, `The function \`urls\` failed with ${kind}, which is not an UploadError.`)
      }
    }))

  it.effect("is reported with its cause, and an UploadError is passed on", () =>
    Effect.gen(function*() {
      const cause = new Error("no")
      const own = yield* Effect.flip(OwnFunction.asked("It", () => Effect.die(cause), () => undefined))
      assert.deepStrictEqual([own._tag, own.cause], ["Rejected", cause])
      const given = new UploadError.Transient({ reason: "Connection", detail: "later" })
      assert.strictEqual(
        yield* Effect.flip(OwnFunction.asked("It", () => Effect.fail(given), () => undefined)),
        given
      )
      const wrong = yield* Effect.flip(OwnFunction.asked("It", () => Effect.succeed(1), () => "gave one"))
      assert.deepStrictEqual([wrong.message, "cause" in wrong && wrong.cause !== undefined], ["It gave one.", false])
      assert.strictEqual(yield* OwnFunction.asked("It", () => Effect.succeed(1), () => undefined), 1)
    }))
})
