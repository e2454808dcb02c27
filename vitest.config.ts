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
    // Millions of uploads in virtual time leave much behind them: a young generation of 16 MiB costs a third more CPU.
    // And to load Effect anew for each file takes a third of the time: files share what they load, package by package.
    poolOptions: { forks: { isolate: false, execArgv: ["--max-semi-space-size=64"] } },
    coverage: {
      provider: "v8",
      include: ["packages/*/src/**/*.ts"],
      exclude: ["packages/examples/**", "**/bin.ts"],
      reporter: ["text", "lcov"]
    }
  }
})
