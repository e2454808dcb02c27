import { defineProject } from "vitest/config"
import { side } from "../../vitest.sides.ts"

// Sources, not builds: "@sluice/core" resolves to packages/core/src by the "@sluice/source" condition of its exports.
// What needs other servers than Node's own is in vitest.servers.config.ts.
export default defineProject({
  resolve: { conditions: ["@sluice/source"] },
  ssr: { resolve: { conditions: ["@sluice/source"] } },
  test: {
    // A bound on what hangs, not on what is slow: the machine may be busy with anything.
    testTimeout: 300_000,
    name: "core",
    include: side.include,
    exclude: [...side.exclude, "test/servers/**"]
  }
})
