/**
 * The process that is killed, as one file: it starts in a fifth of the time, and a kill finds it uploading, not loading.
 */
import { createRequire } from "node:module"
import * as path from "node:path"

interface Esbuild {
  readonly buildSync: (options: object) => unknown
}

/** Bundles it into a directory, and gives the file. */
export const make = (directory: string): string => {
  const require = createRequire(import.meta.url)
  // What runs TypeScript here brings the bundler with it.
  const { buildSync } = createRequire(require.resolve("tsx/package.json"))("esbuild") as Esbuild
  const outfile = path.join(directory, "child.mjs")
  buildSync({
    entryPoints: [path.join(import.meta.dirname, "Child.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    conditions: ["@sluice/source"],
    banner: { js: "import { createRequire } from \"node:module\"; const require = createRequire(import.meta.url)" },
    logLevel: "error"
  })
  return outfile
}
