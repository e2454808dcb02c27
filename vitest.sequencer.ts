import { BaseSequencer } from "vitest/node"
import type { TestSpecification } from "vitest/node"

/** The files that take longest, the longest first. A clean checkout knows of no durations, and sorts by size. */
const longest = [
  "core/test/adaptive/Steady.long.test.ts",
  "core/test/adaptive/Noise.long.test.ts",
  "cli/test/promises/SecretsAreNowhere.long.test.ts",
  "core/test/kill/Kill.long.test.ts",
  "core/test/adaptive/Changes.long.test.ts",
  "core/test/faults/FaultSeeds.long.test.ts",
  "cli/test/promises/KilledUploadsGoOn.long.test.ts",
  "core/test/contract/TusContract.long.test.ts",
  "core/test/contract/Contract.long.test.ts",
  "core/test/promises/Determinism.long.test.ts",
  "core/test/contract/HttpToxics.long.test.ts",
  "core/test/promises/RandomLargeFiles.long.test.ts",
  "cli/test/commands/upload.test.ts",
  "cli/test/promises/S3EndToEnd.test.ts",
  "core/test/promises/Outages.test.ts",
  "core/test/UploadRun.test.ts",
  "cli/test/terminal/Output.test.ts",
  "cli/test/commands/verify.test.ts",
  "cli/test/terminal/Signals.test.ts",
  "cli/test/promises/ProxiesAndHeaders.test.ts",
  "core/test/JournalNode.damage.test.ts",
  "core/test/promises/QuietSources.test.ts",
  "cli/test/sources/StandardInput.test.ts"
]

const rankOf = ({ moduleId }: TestSpecification): number => {
  const rank = longest.findIndex((name) => moduleId.endsWith(`/${name}`))
  return rank < 0 ? longest.length : rank
}

/** Starts what takes longest first, so that no worker has one of them left when the other has nothing more to do. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => rankOf(a) - rankOf(b))
  }
}
