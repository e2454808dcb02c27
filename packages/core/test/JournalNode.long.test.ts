import { describe, it, vi } from "@effect/vitest"
import * as JournalHistories from "./support/JournalHistories.js"

vi.setConfig({ testTimeout: 120_000 })

describe("JournalNode.layerDirectory", () => {
  it.scopedLive("ends in the same state as one in memory, whatever is noted, a thousand times", () =>
    JournalHistories.endAsInMemory(1_000))
})
