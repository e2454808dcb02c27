import * as PlatformError from "@effect/platform/Error"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import { assert, describe, it } from "@effect/vitest"
import { Journal, JournalStore } from "@sluice/core"
import { Effect, Fiber, Option, TestClock } from "effect"
import * as fc from "fast-check"
import * as Dice from "./support/Dice.js"
import { errorOf, files, intentOf, plain, quietly } from "./support/JournalDirectory.js"
import * as LargeRun from "./support/LargeRun.js"
import * as PartsRecording from "./support/PartsRecording.js"
import * as Property from "./support/Property.js"
import * as Recording from "./support/Recording.js"

type Port = Journal.Journal["Type"]

type Step = (journal: Port) => Effect.Effect<void, Journal.JournalError>

const destination = "https://host/bucket"

const open = (store: KeyValueStore.KeyValueStore, options: Partial<JournalStore.Options> = {}) =>
  Effect.provideService(JournalStore.make({ destination, ...options }), KeyValueStore.KeyValueStore, store)

/** A store whose writes can be made slow, made to fail before or after the fact, and counted. */
const storeOf = (
  entries: Map<string, string>,
  write: <E>(write: Effect.Effect<void>, name: string) => Effect.Effect<void, E | PlatformError.PlatformError> = (
    write
  ) => write
): KeyValueStore.KeyValueStore =>
  KeyValueStore.makeStringOnly({
    get: (key) => Effect.sync(() => Option.fromNullable(entries.get(key))),
    set: (key, value) => write(Effect.sync(() => entries.set(key, value)), `set ${key}`),
    remove: (key) => write(Effect.sync(() => entries.delete(key)), `remove ${key}`),
    clear: Effect.sync(() => entries.clear()),
    size: Effect.sync(() => entries.size)
  })

const broken = new PlatformError.SystemError({ reason: "Unknown", module: "KeyValueStore", method: "set" })

const asked = <A>(answer: Journal.Answer<A>): Effect.Effect<A, Journal.JournalError> =>
  Effect.isEffect(answer) ? answer : Effect.succeed(answer)

const stateOf = (journal: Port) =>
  Effect.gen(function*() {
    return plain({
      sessions: yield* journal.sessions,
      owners: yield* journal.owners,
      finished: yield* Effect.filter(files, (file) =>
        Effect.map(
          asked(journal.wasFinished(file)),
          (noted) => noted !== undefined && (file.etag === undefined || noted.isEtag(file.etag))
        ))
    })
  })

const key = fc.constantFrom("a", "b", "ü\n\ud83d\ude00")

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(key, fc.string()).map(([key, token]): Step => (journal) => journal.begin(intentOf(key, { token }))),
  fc.tuple(key, fc.string()).map(([key, id]): Step => (journal) => journal.created(key, id)),
  fc.tuple(key, fc.integer({ min: 1, max: 4 }), fc.nat()).map(([key, number, size]): Step => (journal) =>
    asked(journal.partStored(key, { number, size, etag: "e" }))
  ),
  key.map((key): Step => (journal) => asked(journal.ended(key))),
  fc.constantFrom(...files).map((file): Step => (journal) => asked(journal.finished(file))),
  fc.constantFrom("x", "y").map((owner): Step => (journal) => journal.own(owner)),
  fc.constantFrom("x", "y").map((owner): Step => (journal) => journal.disown(owner)),
  fc.constant<Step>((journal) => journal.flush),
  fc.constant<Step>((journal) => journal.runEnded)
)

describe("JournalStore", () => {
  it.effect("ends in the same state as one in memory, whenever it is opened anew, and at any write of a process that dies", () =>
    Property.check(
      fc.array(steps, { maxLength: 40 }),
      (steps) =>
        Effect.gen(function*() {
          const memory = yield* Journal.makeMemory
          const states = [yield* stateOf(memory)]
          const entries = new Map<string, string>()
          /** What the store has before and after each write, and the step of that write. */
          const moments: Array<{ readonly entries: Map<string, string>; readonly step: number }> = []
          const store = storeOf(entries, (write) =>
            Effect.map(write, () => void moments.push({ entries: new Map(entries), step: states.length - 1 })))
          const journal = yield* open(store)
          for (const step of steps) {
            yield* step(journal)
            yield* step(memory)
            states.push(yield* stateOf(memory))
            assert.strictEqual(yield* stateOf(journal), states.at(-1))
          }
          assert.strictEqual(yield* stateOf(yield* open(store)), states.at(-1))
          for (const { entries, step } of moments) {
            assert.include(states.slice(step, step + 2), yield* stateOf(yield* open(storeOf(entries))))
          }
        }),
      150
    ))

  it.effect("ends in the same state if writes fail, whether or not they were made", () =>
    Property.check(
      fc.tuple(fc.array(steps, { maxLength: 40 }), fc.infiniteStream(fc.constantFrom("", "", "before", "after"))),
      ([steps, luck]) =>
        Effect.gen(function*() {
          const memory = yield* Journal.makeMemory
          const entries = new Map<string, string>()
          let isLucky = false
          const store = storeOf(entries, (write) =>
            Effect.suspend(() => {
              const how = isLucky ? "" : luck.next().value
              if (how === "before") return Effect.fail(broken)
              return how === "after" ? Effect.zipRight(write, Effect.fail(broken)) : write
            }))
          const journal = yield* open(store)
          for (const step of steps) {
            yield* Effect.ignore(step(journal))
            yield* step(memory)
          }
          isLucky = true
          yield* journal.own("last")
          yield* memory.own("last")
          assert.strictEqual(yield* stateOf(yield* open(store)), yield* stateOf(memory))
        }).pipe(quietly),
      150
    ))

  it.effect("writes together what comes while it writes, and returns when it is written", () =>
    Effect.gen(function*() {
      const writes: Array<string> = []
      const store = storeOf(new Map(), (write, name) =>
        Effect.zipRight(Effect.sleep(10), Effect.map(write, () => void writes.push(name))))
      const journal = yield* open(store)
      yield* Effect.zipLeft(Effect.fork(journal.begin(intentOf("a"))), Effect.yieldNow())
      const parts = yield* Effect.fork(Effect.forEach(
        Array.from({ length: 50 }, (_, i) => ({ number: i + 1, size: 8 })),
        (part) =>
          asked(journal.partStored("a", part)),
        { concurrency: "unbounded", discard: true }
      ))
      yield* TestClock.adjust(20)
      assert.deepStrictEqual(writes, ["set journal/1/1", "set journal"])
      assert.isNull(parts.unsafePoll())
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(writes, ["set journal/1/1", "set journal", "set journal/1/1"])
      yield* Fiber.join(parts)
      // What comes while a page is being written waits for the next time.
      yield* Effect.zipLeft(Effect.fork(journal.own("x")), Effect.yieldNow())
      const late = yield* Effect.zipLeft(Effect.fork(journal.own("y")), Effect.yieldNow())
      yield* TestClock.adjust(10)
      assert.deepStrictEqual([writes.length, late.unsafePoll()], [4, null])
      yield* TestClock.adjust(10)
      assert.isNotNull(late.unsafePoll())
      const again = yield* open(store)
      const session = yield* asked(again.session("a"))
      assert.strictEqual(session?.parts.size, 50)
    }))

  /** So much that its log is replaced several times. */
  const long: ReadonlyArray<Step> = Array.from({ length: 18 }, (_, round): ReadonlyArray<Step> => {
    const key = `${"abc"[round % 3]}`
    return [
      (journal) => journal.begin(intentOf(key, { token: `${round}` })),
      (journal) => journal.created(key, `upload ${round}`),
      ...Array.from(
        { length: 90 },
        (_, i): Step => (journal) => asked(journal.partStored(key, { number: i, size: 8 }))
      ),
      (journal) => asked(journal.finished({ ...files[round % files.length]!, etag: `"${round}"` })),
      ...(round % 7 === 6 ? [(journal: Port) => journal.runEnded] : []),
      ...(round % 2 === 0 ? [(journal: Port) => asked(journal.ended(key))] : [])
    ]
  }).flat()

  it.effect("replaces its log at a moment, whichever the process dies at", () =>
    Effect.gen(function*() {
      const memory = yield* Journal.makeMemory
      let before = yield* stateOf(memory)
      const entries = new Map<string, string>()
      const moments: Array<{ readonly entries: Map<string, string>; readonly step: number }> = []
      let at = 0
      const states = [before]
      const store = storeOf(entries, (write, name) =>
        Effect.map(write, () => {
          if (name === "set journal" || name.startsWith("remove") || !name.startsWith("set journal/1/")) {
            moments.push({ entries: new Map(entries), step: at })
          }
        }))
      const journal = yield* open(store)
      for (const step of long) {
        yield* step(journal)
        yield* step(memory)
        states.push(before = yield* stateOf(memory))
        at += 1
      }
      assert.strictEqual(yield* stateOf(yield* open(store)), before)
      const replaced = moments.filter((_, i) => i < 60 || i % 25 === 0)
      for (const { entries, step } of replaced) {
        const next = yield* open(storeOf(entries))
        assert.include(states.slice(step, step + 2), yield* stateOf(next))
        // It goes on, whatever the dead process has left of another log.
        for (const step of long.slice(0, 60)) yield* step(next)
        const known = yield* stateOf(next)
        assert.strictEqual(yield* stateOf(yield* open(storeOf(entries))), known)
      }
      const generations = new Set([...entries.keys()].map((name) => name.split("/")[1]))
      assert.strictEqual(generations.size, 2, "the head and one log")
      assert.isFalse(generations.has("1"))
    }))

  it.effect("replaces its log in the end if writes fail, and leaves nothing of others", () =>
    Effect.gen(function*() {
      for (let seed = 1; seed <= 12; seed++) {
        const dice = Dice.make(seed)
        const memory = yield* Journal.makeMemory
        const entries = new Map<string, string>()
        let isLucky = false
        const store = storeOf(entries, (write) =>
          Effect.suspend(() => {
            if (isLucky || dice.chance(0.7)) return write
            return dice.chance(0.5) ? Effect.fail(broken) : Effect.zipRight(write, Effect.fail(broken))
          }))
        const journal = yield* open(store)
        for (const step of long) {
          yield* Effect.ignore(step(journal))
          yield* step(memory)
        }
        isLucky = true
        for (const step of long) yield* Effect.zipRight(step(journal), step(memory))
        assert.strictEqual(yield* stateOf(yield* open(store)), yield* stateOf(memory), `seed ${seed}`)
        const generations = new Set([...entries.keys()].map((name) => name.split("/")[1]))
        assert.strictEqual(generations.size, 2, `seed ${seed}: ${[...entries.keys()].join()}`)
      }
    }).pipe(quietly))

  it.effect("stays as small as what is unfinished", () =>
    Effect.gen(function*() {
      const entries = new Map<string, string>()
      const journal = yield* open(storeOf(entries))
      let most = 0
      for (let round = 0; round < 30; round++) {
        yield* journal.begin(intentOf("film"))
        for (let number = 1; number <= 100; number++) yield* asked(journal.partStored("film", { number, size: 8 }))
        yield* asked(journal.ended("film"))
        most = Math.max(most, entries.size)
      }
      assert.isAtMost(most, 20)
      assert.isAtLeast(most, 8)
    }))

  it.effect("begins with nothing of what a process has left that died before its first record counted", () =>
    Effect.gen(function*() {
      const page = (owner: string) => JSON.stringify([{ _tag: "owned", owner }])
      const store = storeOf(new Map([["journal/1/1", page("dead")], ["journal/1/2", page("dead too")]]))
      const journal = yield* open(store)
      yield* journal.own("x")
      assert.deepStrictEqual(yield* (yield* open(store)).owners, ["x"])
    }))

  it.effect("belongs to one destination, and leaves everything else alone", () =>
    Effect.gen(function*() {
      const entries = new Map([["photos", "mine"], ["journal/9/9", "also mine"]])
      const store = storeOf(entries)
      yield* Effect.flatMap(open(store), (journal) => journal.own("x"))
      const before = [...entries]
      const foreign = yield* errorOf(open(store, { destination: "https://elsewhere" }))
      assert.deepStrictEqual([foreign.reason, foreign.message], [
        "Foreign",
        "The journal journal is for https://host/bucket, not for https://elsewhere."
      ])
      assert.strictEqual((yield* errorOf(open(store, { name: "photos" }))).reason, "Unusable")
      entries.set("newer", JSON.stringify({ version: 2, destination, generation: 1 }))
      assert.strictEqual((yield* errorOf(open(store, { name: "newer" }))).reason, "Newer")
      entries.delete("newer")
      assert.deepStrictEqual([...entries], before)
      entries.set("journal/1/1", "[{\"_tag\":\"other\"}]")
      const damaged = yield* errorOf(open(store))
      assert.match(damaged.message, /^The entry journal\/1\/1 is damaged/)
    }))

  it.effect("says that the store cannot be read or written", () =>
    Effect.gen(function*() {
      const journal = yield* open(storeOf(new Map(), () => Effect.fail(broken)))
      assert.strictEqual((yield* errorOf(journal.own("x"))).message, "The store of the journal cannot be written.")
      const unreadable = { ...storeOf(new Map()), get: () => Effect.fail(broken) }
      assert.strictEqual((yield* errorOf(open(unreadable))).message, "The store of the journal cannot be read.")
    }))

  it.effect("lets a process go on where another one died", () =>
    Effect.gen(function*() {
      const entries = new Map<string, string>()
      const store = () => storeOf(entries, (write) => Effect.delay(write, 2))
      const recording = PartsRecording.make()
      const sources = () => [LargeRun.onDisk("a", 95), LargeRun.onDisk("s", 5)]
      const before = yield* LargeRun.upload(recording, sources(), {
        journal: yield* open(store()),
        workers: 2,
        run: { onInterrupt: "keep" },
        meanwhile: LargeRun.interruptedAfter(60)
      })
      assert.deepStrictEqual(before.results.map(Recording.summary).sort(), ["Interrupted a", "Uploaded s"])
      const journal = yield* open(store())
      const session = yield* asked(journal.session("a"))
      assert.isAbove(session?.parts.size ?? 0, 2)
      const { report, results } = yield* LargeRun.upload(recording, sources(), { journal })
      assert.deepStrictEqual(results.map(Recording.summary).sort(), ["Skipped s", "Uploaded a"])
      assert.strictEqual(report.bytes.resumed, Journal.storedBytes(session!) + 5)
      assert.deepStrictEqual(yield* (yield* open(store())).sessions, [])
    }))
})
