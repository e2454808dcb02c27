import { describe, it } from "@effect/vitest"
import * as Interruptions from "../support/Interruptions.js"

describe("an interrupted run", () => {
  it.effect(
    "leaves nothing behind, at 200 random instants of an upload of 1,000 files",
    () => Interruptions.atRandomInstants(200),
    180_000
  )
})
