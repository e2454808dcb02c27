import { defineConfig } from "vitest/config"
import { LongestFirst } from "./vitest.sequencer.ts"
import projects from "./vitest.workspace.ts"

export default defineConfig({
  test: {
    projects,
    // Many tests wait for processes, sockets and disks: on two cores, one worker would leave much of them idle.
    maxWorkers: 2,
    minWorkers: 1,
    sequence: { sequencer: LongestFirst },
    coverage: {
      provider: "v8",
      include: ["packages/*/src/**/*.ts"],
      exclude: ["packages/examples/**", "**/bin.ts"],
      reporter: ["text", "lcov"]
    }
  }
})
