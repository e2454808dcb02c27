/**
 * A process of its own that uses a journal, for tests that kill it or let several race. It is told on its command line
 * what to do, and says on standard output what it has done, one line for each.
 */
import * as JournalNode from "@sluice/core/JournalNode"
import { Effect, Exit, Scope } from "effect"
import * as fs from "node:fs"
import * as readline from "node:readline"

const [mode, directory = "", first = "0"] = process.argv.slice(2)

const say = (line: string) => Effect.sync(() => fs.writeSync(1, `${line}\n`))

/** Journals until it is killed. */
const work = Effect.gen(function*() {
  const journal = yield* JournalNode.make({ directory, destination: "https://host/bucket" })
  for (let i = Number(first);; i++) {
    const key = `key ${i}`
    yield* journal.begin({
      key,
      token: `t${i}`,
      size: 100,
      fingerprint: "f",
      partSize: 10,
      checksum: undefined,
      startedAt: i
    })
    yield* say(`begun ${i}`)
    yield* journal.created(key, `u${i}`)
    yield* say(`created ${i}`)
    for (let number = 1; number <= 3; number++) journal.partStored(key, { number, size: 10 })
    journal.finished({ key: `file ${i}`, size: i, fingerprint: "f" })
    yield* journal.flush
    yield* say(`stored ${i}`)
    if (i % 10 === 9) {
      yield* journal.runEnded
      yield* say(`run-ended ${i}`)
    }
    if (i % 4 !== 0) {
      journal.ended(key)
      yield* journal.flush
      yield* say(`ended ${i}`)
    }
  }
})

/** Opens each named journal, and keeps it open until a command closes it. */
const race = Effect.gen(function*() {
  let scope = yield* Scope.make()
  yield* say("ready")
  const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  for (;;) {
    const { done, value } = yield* Effect.promise(() => lines.next())
    if (done === true) return
    if (value === "close") {
      yield* Scope.close(scope, Exit.void)
      scope = yield* Scope.make()
      yield* say("closed")
    } else {
      const opened = yield* Effect.either(
        Scope.extend(JournalNode.make({ directory: value, destination: "https://host/bucket" }), scope)
      )
      yield* say(opened._tag === "Right" ? "won" : opened.left.reason)
    }
  }
})

Effect.runFork(mode === "work" ? Effect.scoped(work) : race)
