import { assert, describe, it, vi } from "@effect/vitest"
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect, Either } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import {
  empty,
  errorOf,
  fastDirectory,
  fileIn,
  intentOf,
  newDirectory,
  open,
  plain,
  plant,
  quietly,
  record,
  stateOf,
  steps,
  use
} from "./support/JournalDirectory.js"

vi.setConfig({ testTimeout: 120_000 })

describe("a journal whose file is damaged", () => {
  it.scopedLive("opens after truncation at every byte, with the records that are whole", () =>
    Effect.gen(function*() {
      const root = yield* fastDirectory
      const { bytes, moments } = yield* record(path.join(root, "recorded"))
      assert.strictEqual(moments.at(-1)?.size, bytes.length)
      assert.strictEqual(new Set(moments.map(({ size }) => size)).size, steps.length + 1)
      const lengths = Array.from({ length: bytes.length + 1 }, (_, length) => length)
      yield* Effect.forEach(lengths, (length) =>
        Effect.gen(function*() {
          const directory = path.join(root, `${length}`)
          plant(directory, bytes.subarray(0, length))
          const state = moments.findLast(({ size }) => size <= length)?.state ?? empty
          yield* use(directory, (journal) =>
            Effect.gen(function*() {
              assert.strictEqual(yield* stateOf(journal), state, `at ${length}`)
              yield* journal.own("after")
            }))
          assert.include((yield* JournalNode.readDirectory(directory)).owners, "after")
        }), { concurrency: 8, discard: true })
    }))

  it.scopedLive("loses no more than a record to a damaged byte, and invents nothing", () =>
    Effect.gen(function*() {
      const root = yield* fastDirectory
      const { bytes } = yield* record(path.join(root, "recorded"))
      const lines = bytes.toString("latin1").split("\n").slice(0, -1)
      const directory = path.join(root, "damaged")
      const read = (content: string | Uint8Array) =>
        Effect.suspend(() => {
          plant(directory, content)
          return Effect.map(JournalNode.readDirectory(directory), plain)
        })
      const whole = yield* read(bytes)
      const without = yield* Effect.forEach(lines, (_, missing) =>
        missing === 0 ? Effect.succeed("") : read(lines.filter((_, i) => i !== missing).join("\n") + "\n"))
      for (let at = 0; at < bytes.length; at++) {
        const line = bytes.subarray(0, at).toString("latin1").split("\n").length - 1
        for (const flip of [1, 0x20, 0x80, bytes[at]! ^ 10]) {
          if (flip === 0) {
            continue
          }
          const damaged = Uint8Array.from(bytes)
          damaged[at]! ^= flip
          const state = yield* Effect.either(read(damaged))
          if (Either.isLeft(state)) {
            assert.strictEqual(line, 0, `${state.left.message} at ${at}`)
            assert.strictEqual(state.left.reason, "Unusable")
            const opened = yield* errorOf(Effect.scoped(open(directory)))
            assert.strictEqual(opened.reason, "Unusable")
            assert.deepStrictEqual(Uint8Array.from(fs.readFileSync(fileIn(directory))), damaged)
          } else {
            assert.include([whole, without[line]], state.right, `byte ${at} ^ ${flip}`)
            if (at % 11 === 0) {
              // What was damaged is not carried on.
              yield* quietly(use(directory, () =>
                Effect.void))
              const mended = yield* JournalNode.readDirectory(directory)
              assert.strictEqual(plain(mended), state.right)
            }
          }
        }
      }
    }))

  it.scopedLive("never makes the parts of one upload those of another", () =>
    Effect.gen(function*() {
      const directory = yield* newDirectory
      yield* use(directory, (journal) =>
        Effect.gen(function*() {
          yield* journal.begin(intentOf("a", { token: "first" }))
          yield* journal.created("a", "upload 1")
          journal.partStored("a", { number: 1, size: 8 })
          yield* journal.begin(intentOf("a", { token: "second" }))
          yield* journal.created("a", "upload 2")
          journal.partStored("a", { number: 2, size: 8 })
        }))
      const text = fs.readFileSync(fileIn(directory), "latin1")
      plant(directory, text.replace("second", "secand"))
      const { sessions } = yield* JournalNode.readDirectory(directory)
      assert.deepStrictEqual(sessions.map(({ parts, token, uploadId }) => [token, uploadId, [...parts.keys()]]), [
        ["first", "upload 1", [1]]
      ])
    }))
})
