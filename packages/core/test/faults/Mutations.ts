/**
 * Promises that are broken on purpose, each by an edit of the sources.
 */
import * as fs from "node:fs"
import * as path from "node:path"

export interface Mutation {
  readonly name: string
  /** In a file of `src`, one text in place of another. */
  readonly edits: ReadonlyArray<readonly [file: string, before: string, after: string]>
}

// That an interruption cuts an abort which waits for its start comes up too seldom here: `FaultSeeds.long.test.ts` has it.
export const mutations: ReadonlyArray<Mutation> = [
  {
    name: "permit not released on interrupt",
    edits: [[
      "internal/upload/request.ts",
      "        request.end(false)\n        request.lease.release()\n        return isOfCallback",
      "        request.end(false)\n        return isOfCallback"
    ]]
  },
  {
    name: "complete retried blindly",
    edits: [
      [
        "internal/upload/multipart.ts",
        "const there = yield* this.outcome.settle(session, { size, checksum }, isGone(result.cause))",
        "const there = Option.none<Destination.Stored>()"
      ],
      [
        "internal/upload/multipart.ts",
        "asked === undefined ? Option.none() : yield* this.outcome.settleAfterAbort(asked)",
        "Option.none<Destination.Stored>()"
      ]
    ]
  },
  {
    name: "journal record after the act",
    edits: [
      [
        "internal/upload/multipart.ts",
        "yield* written(\n        journal?.begin({",
        "const begun = written(\n        journal?.begin({"
      ],
      [
        "internal/upload/multipart.ts",
        "      const uploadId = created.value\n",
        "      const uploadId = created.value\n      yield* begun\n"
      ]
    ]
  },
  {
    name: "bytes counted twice",
    edits: [[
      "internal/upload/sendPart.ts",
      "      body.ended()\n      upload.onTakenBack(transfer.handedOut)\n      const { sourceError }",
      "      body.ended()\n      const { sourceError }"
    ]]
  },
  {
    name: "backoff inside the permit",
    edits: [
      [
        "internal/upload/request.ts",
        "  request.lease.release()\n  return inFlight\n",
        "  if (stored) request.lease.release()\n  return inFlight\n"
      ]
    ]
  },
  {
    name: "abort skipped",
    edits: [[
      "internal/upload/session.ts",
      "Effect.flatMap(abort(env, upload, multipart, session, lease), (outcome) => {",
      "Effect.flatMap(Effect.sync(() => (lease?.close(), Either.right(undefined))), (outcome) => {"
    ]]
  },
  {
    name: "look goes on when its run is interrupted",
    edits: [[
      "internal/calls/deadline.ts",
      "        Fiber.interrupt,\n",
      "        () => Effect.void,\n"
    ]]
  },
  {
    name: "source not looked at after a read",
    edits: [[
      "internal/bytes/body.ts",
      "Effect.filterOrFail(heard, (now) => now === fingerprint, modified)",
      "Effect.filterOrFail(heard, () => true, modified)"
    ]]
  },
  {
    name: "memory of parts not taken",
    edits: [
      [
        "internal/upload/lease.ts",
        "this.holdsMemory ||= this.bytes === 0 ||",
        "this.holdsMemory ||= this.lane === \"parts\" || this.bytes === 0 ||"
      ],
      [
        "internal/upload/lease.ts",
        "    if (this.bytes > 0) this.env.memory.unsafeRelease",
        "    if (this.bytes > 0 && this.lane !== \"parts\") this.env.memory.unsafeRelease"
      ]
    ]
  }
]

/** Copies the sources below a directory, with the edits made, and gives where they are. */
export const mutated = (root: string, { edits, name }: Mutation): string => {
  const sources = path.join(root, "src")
  fs.rmSync(sources, { recursive: true, force: true })
  fs.cpSync(path.resolve(import.meta.dirname, "../../src"), sources, { recursive: true })
  for (const [file, before, after] of edits) {
    const text = fs.readFileSync(path.join(sources, file), "utf8")
    if (text.split(before).length !== 2) throw new Error(`${name}: ${file} does not have once: ${before}`)
    fs.writeFileSync(path.join(sources, file), text.replace(before, () => after))
  }
  return sources
}
