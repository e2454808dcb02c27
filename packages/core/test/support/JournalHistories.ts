/**
 * Random histories of a journal: whatever is noted, and however often it is opened anew, it ends as one in memory does.
 */
import { assert } from "@effect/vitest"
import { Journal } from "@sluice/core"
import { Effect, Exit, Scope } from "effect"
import * as fc from "fast-check"
import * as path from "node:path"
import { fastDirectory, files, intentOf, open, stateOf, sync } from "./JournalDirectory.js"
import type { Step } from "./JournalDirectory.js"
import * as Property from "./Property.js"

/** Compares a journal in a directory with one in memory after so many histories. */
export const endAsInMemory = (cases: number) =>
  Effect.gen(function*() {
    const root = yield* fastDirectory
    const key = fc.constantFrom("a", "b", "ü\n\ud83d\ude00")
    const step: fc.Arbitrary<Step | "reopen"> = fc.oneof(
      fc.tuple(key, fc.string()).map(([key, token]): Step => (journal) => journal.begin(intentOf(key, { token }))),
      fc.tuple(key, fc.string()).map(([key, id]): Step => (journal) => journal.created(key, id)),
      fc.tuple(key, fc.integer({ min: 1, max: 4 }), fc.nat()).map(([key, number, size]) =>
        sync((journal) => journal.partStored(key, { number, size }))
      ),
      key.map((key) => sync((journal) => journal.ended(key))),
      fc.constantFrom(...files).map((file) => sync((journal) => journal.finished(file))),
      fc.constantFrom("x", "y").map((owner): Step => (journal) => journal.own(owner)),
      fc.constantFrom("x", "y").map((owner): Step => (journal) => journal.disown(owner)),
      fc.constant<Step>((journal) => journal.flush),
      fc.constant<Step>((journal) => journal.runEnded),
      fc.constant("reopen" as const)
    )
    let opened = 0
    yield* Property.check(
      fc.array(step, { maxLength: 20 }),
      (steps) =>
        Effect.scoped(Effect.gen(function*() {
          const directory = path.join(root, `${opened++}`)
          const memory = yield* Journal.makeMemory
          let scope = yield* Scope.make()
          let journal = yield* Scope.extend(open(directory), scope)
          for (const step of [...steps, "reopen" as const]) {
            if (step === "reopen") {
              yield* Scope.close(scope, Exit.void)
              scope = yield* Scope.make()
              journal = yield* Scope.extend(open(directory), scope)
            } else {
              yield* step(memory)
              yield* step(journal)
            }
          }
          assert.strictEqual(yield* stateOf(journal), yield* stateOf(memory))
          yield* Scope.close(scope, Exit.void)
        })),
      cases
    )
  })
