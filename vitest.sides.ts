import { configDefaults } from "vitest/config"

/** The long proofs: many seeds, kills, the contract at every destination, secrets by process. `npm run test:long`. */
const long = "test/**/*.long.test.ts"

/** What a project runs: the quick tests or, with `SLUICE_TESTS=long`, the long ones. Each test is one of both. */
export const side = process.env["SLUICE_TESTS"] === "long"
  ? { include: [long], exclude: configDefaults.exclude }
  : { include: ["test/**/*.test.ts"], exclude: [...configDefaults.exclude, long] }
