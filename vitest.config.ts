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
    poolOptions: {
      forks: {
        // To load Effect anew for each file would take as long as a third of the tests.
        isolate: false,
        // Millions of uploads in virtual time leave much behind: a young generation of 16 MiB costs a third more CPU.
        execArgv: ["--max-semi-space-size=64"]
      }
    },
    coverage: {
      provider: "v8",
      include: ["packages/*/src/**/*.ts"],
      exclude: ["packages/examples/**", "**/bin.ts"],
      reporter: ["text", "lcov"]
    }
  }
})
