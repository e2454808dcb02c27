import { defineProject } from "vitest/config"
import { side } from "../../vitest.sides.ts"

// Sources, not builds: "@sluice/core" resolves to packages/core/src by the "@sluice/source" condition of its exports.
export default defineProject({
  resolve: { conditions: ["@sluice/source"] },
  ssr: { resolve: { conditions: ["@sluice/source"] } },
  test: { testTimeout: 180_000, name: "examples", ...side }
})
