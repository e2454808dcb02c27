/**
 * Files of runs, and what becomes of them.
 */
import type { UploadResult } from "@sluice/core"
import { Strategy, UploadError, UploadFile } from "@sluice/core"
import { Effect, Fiber } from "effect"
import * as Recording from "./Recording.js"

export const broken = new UploadError.Transient({ reason: "Connection", detail: "The connection broke." })

export const files = (count: number, prefix = "f"): Array<UploadFile.UploadFile> =>
  Array.from({ length: count }, (_, i) => UploadFile.fromText(`${prefix}${i}`, "x".repeat(10)))

export const one = Strategy.workerPool({ workers: 1 })

export const keysOf = (results: ReadonlyArray<UploadResult.UploadResult>) => results.map(Recording.summary)

/** Runs a program and says how many fibers it has left running. */
export const leftRunning = <A, E>(program: Effect.Effect<A, E>): Effect.Effect<number, E> =>
  Effect.gen(function*() {
    const before = new Set(yield* Fiber.roots)
    yield* program
    yield* Effect.sleep(1)
    return (yield* Fiber.roots).filter((fiber) => !before.has(fiber)).length
  })
