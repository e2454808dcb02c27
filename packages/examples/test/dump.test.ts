import { it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as Transcript from "./Transcript.js"
for (const f of fs.readdirSync(new URL("../src", import.meta.url)).filter((f) => f !== "run.ts")) {
  it.effect(f, () => Effect.gen(function*() {
    const m = yield* Effect.promise(() => import("../src/" + f))
    const t = yield* Transcript.make(m.program as Effect.Effect<unknown>)
    console.log("==", f, t.millis + "\n" + t.lines.join("\n"))
  }))
}
