import { assert, describe, it } from "@effect/vitest"
import { ByteSource, Destination, Journal, RetryPolicy, Uploader, UploadFile } from "@sluice/core"
import type { Journal as JournalModule, UploadReport } from "@sluice/core"
import * as Simulated from "@sluice/core/destinations/Simulated"
import * as Faults from "@sluice/core/testing/Faults"
import * as VirtualClock from "@sluice/core/testing/VirtualClock"
import { Effect, Option } from "effect"

const bytes = Uint8Array.from({ length: 3_000 }, (_, i) => i % 251)

const file = (key: string): UploadFile.UploadFile => {
  const source = { ...ByteSource.fromBytes(bytes), fingerprint: Effect.succeed("1") }
  return UploadFile.make(key, source, { fingerprint: "1", modifiedAt: 1_000 })
}

const upload = (
  destination: Destination.Destination["Type"],
  faults: Faults.Faults,
  options: { readonly parts?: boolean; readonly retry?: RetryPolicy.RetryPolicy } = {}
): Effect.Effect<UploadReport.UploadReport> =>
  Effect.scoped(Effect.flatMap(
    Effect.provideService(
      Uploader.make({
        multipartThreshold: options.parts === true ? 0 : "1 GiB",
        partSize: 1_000,
        retry: options.retry ?? RetryPolicy.make({ jitter: "none", secondRound: false })
      }),
      Destination.Destination,
      destination
    ),
    (uploader) => uploader.uploadAll([faults.file(file("a"))])
  ))

/** Uploads one file under a script, by one put or in three parts. */
const scripted = (script: ReadonlyArray<Faults.Fault>, parts = false) =>
  VirtualClock.run(Effect.gen(function*() {
    const { destination, network } = yield* Simulated.make({ observe: true, requestLatency: 10 })
    const faults = Faults.make(script)
    const report = yield* upload(faults.destination(destination), faults, { parts })
    yield* Effect.sleep("1 hour")
    yield* faults.allConsumed
    return { report, object: network.objects.get("a")?.bytes, open: (yield* network.sessions).length, faults }
  })).pipe(Effect.map(({ value }) => value))

const told = ({ report }: { readonly report: UploadReport.UploadReport }): string =>
  report.files.uploaded === 1 ? `uploaded after ${report.retries} retries` : report.failures[0]!.error._tag

describe("Faults of a request", () => {
  const mended: ReadonlyArray<Faults.Kind> = [
    { _tag: "ConnectionRefused" },
    { _tag: "ResetBeforeBody" },
    { _tag: "ResetInsideBody", after: 0.5 },
    { _tag: "ResetAfterBody" },
    { _tag: "AnswerLost" },
    { _tag: "AnswerLate", millis: 40_000 },
    { _tag: "NoAnswer" },
    { _tag: "ServerError", status: 500 },
    { _tag: "SlowDown", status: 429 },
    { _tag: "SlowDown", status: 503, retryAfterMillis: 2_000 },
    { _tag: "ErrorBody" },
    { _tag: "PartialPersistence", part: 0.5 },
    { _tag: "BitFlipped" }
  ]
  for (const kind of mended) {
    it.effect(`${kind._tag} is mended, of a put and of a part`, () =>
      Effect.gen(function*() {
        const put = yield* scripted([{ verb: "put", key: "a", kind }])
        assert.strictEqual(told(put), "uploaded after 1 retries")
        assert.deepStrictEqual(put.object, bytes)
        const part = yield* scripted([{ verb: "uploadPart", part: 2, kind }], true)
        assert.strictEqual(told(part), "uploaded after 1 retries")
        assert.deepStrictEqual(part.object, bytes)
        assert.strictEqual(part.open, 0)
      }))
  }

  it.effect("CredentialsExpired, DiskFull and DriverDies are permanent", () =>
    Effect.gen(function*() {
      const tags = yield* Effect.forEach(["CredentialsExpired", "DiskFull", "DriverDies"] as const, (_tag) =>
        Effect.map(scripted([{ verb: "put", kind: { _tag } }]), told))
      assert.deepStrictEqual(tags, ["AuthExpired", "Rejected", "Rejected"])
    }))

  it.effect("SessionLost and WrongEtag make the file start over", () =>
    Effect.gen(function*() {
      for (const _tag of ["SessionLost", "WrongEtag"] as const) {
        const outcome = yield* scripted([{ verb: "uploadPart", part: 3, kind: { _tag } }], true)
        assert.match(told(outcome), /^uploaded/)
        assert.deepStrictEqual(outcome.object, bytes)
        assert.strictEqual(outcome.open, 0)
      }
    }))

  it.effect("a flipped bit that was stored makes a file start over, if parts come in order", () =>
    VirtualClock.run(Effect.gen(function*() {
      const { destination, network } = yield* Simulated.make({ observe: true, parts: { inOrder: true } })
      const faults = Faults.make([{ verb: "uploadPart", part: 2, kind: { _tag: "BitFlipped" } }])
      const report = yield* upload(faults.destination(destination), faults, { parts: true })
      assert.strictEqual(report.files.uploaded, 1)
      assert.deepStrictEqual(network.objects.get("a")?.bytes, bytes)
      assert.deepStrictEqual(yield* network.sessions, [])
      yield* faults.allConsumed
    })))

  it.effect("a late answer takes effect when nothing waits for it any more", () =>
    VirtualClock.run(Effect.gen(function*() {
      const { destination, network } = yield* Simulated.make({ observe: true })
      const faults = Faults.make([{ verb: "put", kind: { _tag: "AnswerLate", millis: 40_000 } }])
      const report = yield* upload(faults.destination(destination), faults, { retry: RetryPolicy.none })
      assert.strictEqual(report.files.failed, 1)
      assert.isFalse(network.objects.has("a"))
      yield* Effect.sleep("1 minute")
      assert.deepStrictEqual(network.objects.get("a")?.bytes, bytes)
    })))
})

describe("Faults of a source", () => {
  it.effect("change it in the midst of a read, and leave its versions", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [Faults.Kind, tag: string, sizes: ReadonlyArray<number>]> = [
        [{ _tag: "SourceShrinks", bytes: 10 }, "SourceChanged", [3_000, 2_990]],
        [{ _tag: "SourceGrows", bytes: 10 }, "SourceChanged", [3_000, 3_010]],
        [{ _tag: "SourceTouched" }, "SourceChanged", [3_000, 3_000]],
        [{ _tag: "SourceRewritten" }, "SourceChanged", [3_000, 3_000]],
        [{ _tag: "SourceVanishes" }, "SourceUnreadable", [3_000]],
        [{ _tag: "SourceFails" }, "SourceUnreadable", [3_000]]
      ]
      for (const [kind, tag, sizes] of cases) {
        const outcome = yield* scripted([{ verb: "source", key: "a", kind }])
        assert.strictEqual(told(outcome), tag, kind._tag)
        const versions = yield* outcome.faults.versions("a")
        assert.deepStrictEqual(versions.map(({ length }) => length), sizes, kind._tag)
        assert.strictEqual(outcome.faults.openSources(), 0)
      }
    }))
})

describe("Faults of a process", () => {
  /** A process that is killed, and another one after it. */
  const twice = (fault: Faults.Fault) =>
    VirtualClock.run(Effect.gen(function*() {
      const { destination, network } = yield* Simulated.make({ observe: true, requestLatency: 10 })
      const disk = yield* Journal.makeMemory
      const faults = Faults.make([fault])
      const process = faults.process((self) =>
        Effect.flatMap(self.journal(disk), (journal: JournalModule.Journal["Type"]) =>
          Effect.provideService(
            upload(self.destination(destination), faults, { parts: true }),
            Journal.Journal,
            journal
          ))
      )
      const first = yield* process
      const between = { open: (yield* network.sessions).length, objects: network.objects.size }
      const second = yield* process
      yield* faults.allConsumed
      return { first, between, second: Option.map(second, ({ files }) => files.uploaded), network }
    })).pipe(Effect.map(({ value }) => value))

  it.effect("kill it without any cleanup, and another one continues", () =>
    Effect.gen(function*() {
      const { between, first, network, second } = yield* twice({
        verb: "uploadPart",
        part: 3,
        kind: { _tag: "Killed" }
      })
      assert.isTrue(Option.isNone(first))
      assert.deepStrictEqual(between, { open: 1, objects: 0 })
      assert.deepStrictEqual(second, Option.some(1))
      assert.deepStrictEqual(network.objects.get("a")?.bytes, bytes)
      assert.strictEqual(yield* network.completed, 1)
    }))

  it.effect("kill it when its request is carried out and not answered", () =>
    Effect.gen(function*() {
      const { between, first, second } = yield* twice({ verb: "complete", kind: { _tag: "Killed", applied: true } })
      assert.isTrue(Option.isNone(first))
      assert.deepStrictEqual(between, { open: 0, objects: 1 })
      assert.deepStrictEqual(second, Option.some(1))
    }))

  it.effect("kill it in a write of its journal, which is then lost", () =>
    Effect.gen(function*() {
      const { between, first, second } = yield* twice({ verb: "process", kind: { _tag: "JournalTorn", part: 0 } })
      assert.isTrue(Option.isNone(first))
      assert.deepStrictEqual(between, { open: 0, objects: 0 })
      assert.deepStrictEqual(second, Option.some(1))
    }))
})

describe("Faults.allConsumed", () => {
  it.effect("names faults that never struck", () =>
    Effect.gen(function*() {
      const faults = Faults.make([{ verb: "abort", key: "a", nth: 2, kind: { _tag: "AnswerLost" } }])
      const error = yield* Effect.flip(faults.allConsumed)
      assert.strictEqual(error.message, "These faults were scripted but never struck: abort a #2: AnswerLost.")
    }))
})
