import { defineConfig } from "vitest/config"

// Tests against servers that nobody here wrote: `npm run test:servers`. Those that are not installed are skipped.
export default defineConfig({
  resolve: { conditions: ["@sluice/source"] },
  ssr: { resolve: { conditions: ["@sluice/source"] } },
  test: {
    name: "servers",
    root: import.meta.dirname,
    include: ["test/servers/**/*.test.ts"],
    globalSetup: ["test/servers/Setup.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two servers and their client on a machine of two cores: more at once would only be in each other's way.
    fileParallelism: false
  }
})
