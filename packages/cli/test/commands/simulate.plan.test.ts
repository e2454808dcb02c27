import { FileSystem, Path } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as ForecastText from "../../src/simulate/ForecastText.js"
import * as InProcess from "../support/InProcess.js"

/** Runs `sluice simulate` with these arguments, and gives what it printed. */
const simulate = (args: ReadonlyArray<string>, columns?: number) => InProcess.run(["simulate", ...args], { columns })

/** A directory with 40 files of 100 kB, one of 9 MB, and one in `skipped`. */
const tree = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const root = path.join(yield* fs.makeTempDirectoryScoped(), "a tree")
  yield* fs.makeDirectory(path.join(root, "skipped"), { recursive: true })
  for (let i = 0; i < 40; i++) yield* fs.writeFile(path.join(root, `${i}.jpg`), new Uint8Array(100_000))
  yield* fs.writeFile(path.join(root, "skipped", "large.raw"), new Uint8Array(9_000_000))
  // Nothing is read: a file that may not be read has a size all the same.
  yield* fs.chmod(path.join(root, "0.jpg"), 0)
  return root
})

const decodeLine = Schema.decodeUnknownSync(
  Schema.parseJson(Schema.Union(ForecastText.Prediction, ForecastText.Recommendation)),
  { onExcessProperty: "error" }
)

const network = ["--link", "8MB/s", "--per-connection", "1MB/s", "--rtt", "100ms"]

describe("sluice simulate, of a tree", () => {
  it.scoped("predicts each strategy, says what it assumes, and what to type", () =>
    Effect.gen(function*() {
      const root = yield* tree
      const { exitCode, stderr, stdout } = yield* simulate([root, ...network, "--exclude", "*.raw"])
      assert.strictEqual(stderr, "")
      assert.strictEqual(exitCode, 0)
      const lines = stdout.split("\n")
      assert.deepStrictEqual(lines.slice(0, 3), [
        "40 files, 4.0 MB, over a simulated network.",
        "Assumed: 8.0 MB/s in all, 1.0 MB/s per connection, 100 ms round trip, no requests fail, parts of 8.0 MiB, seed 1.",
        "The disk keeps up, connections are open, and nothing else uses the link."
      ])
      // Ten files of 200 ms, one after the other.
      assert.match(
        lines.find((line) => line.includes("4 workers")) ?? "",
        /^worker pool, 4 workers +2\.0 s +2\.0 MB\/s +4 +0 +0$/
      )
      assert.match(lines.at(-3) ?? "", /^Recommended: adaptive, up to 64: .* behind the fastest, and it adapts/)
      assert.strictEqual(lines.at(-2), `  sluice upload '${root}' DESTINATION`)
    }).pipe(Effect.provide(InProcess.PlatformLayer)))

  it.scoped("prints JSON of a known shape", () =>
    Effect.gen(function*() {
      const root = yield* tree
      const args = [root, ...network, "--json", "--part-size", "1MB", "--errors", "1%", "--throttle-above", "20"]
      const { stdout } = yield* simulate(args)
      const lines = stdout.trimEnd().split("\n").map((line) => decodeLine(line))
      assert.deepStrictEqual(
        lines.map((line) =>
          line._tag === "Prediction"
            ? `${line.strategy}, ${line.detail.replace(/\d+ starts/, "n starts")}`
            : line._tag
        ),
        [
          "adaptive, up to 64",
          "adaptive, up to 256",
          "worker pool, 4 workers",
          "worker pool, 16 workers",
          "worker pool, 20 workers",
          "worker pool, 64 workers",
          "rate limited, n starts a second",
          "unlimited, over 256 connections",
          "Recommendation"
        ]
      )
      const last = lines.at(-1)
      assert.deepInclude(last, { files: 41, bytes: 13_000_000, leftOut: 0, partSize: 1_000_000 })
      assert.strictEqual(last?.flags?.slice(-2).join(" "), "--part-size 1MB")
      assert.strictEqual((yield* simulate(args)).stdout, stdout)
    }).pipe(Effect.provide(InProcess.PlatformLayer)))

  it.scoped("tries only the given strategy, and draws it", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const file = path.join(yield* fs.makeTempDirectoryScoped(), "docs", "plan.svg")
      const { stderr, stdout } = yield* simulate(
        [
          "--files",
          "50",
          "--max-size",
          "50kB",
          "--link",
          "4MB/s,1MB/s@1s",
          "--strategy",
          "progressive",
          "--svg",
          file
        ]
      )
      assert.strictEqual(stderr, `The picture is in ${file}.\n`)
      assert.notInclude(stdout, "Recommended")
      const svg = yield* fs.readFileString(file)
      assert.strictEqual(svg.match(/class="h2"/g)?.length, 1)
      for (const part of ["pace", "count", "limit"]) assert.include(svg, `<path class="${part}" d="M28 `)
      assert.include(svg, "4.0 MB/s in all, 1.0 MB/s from 1.0 s on")
    }).pipe(Effect.provide(InProcess.PlatformLayer)))

  it.effect("is narrow on a narrow terminal, and leaves no trace of its progress", () =>
    Effect.gen(function*() {
      const args = ["--files", "5", "--rtt", "10ms", "--strategy", "pool"]
      const { stderr, stdout } = yield* simulate(args, 40)
      assert.include(stdout, "worker pool, 4 workers\n  time ")
      assert.isTrue(stderr.startsWith("\rSimulating 1 of 3: worker pool"))
      assert.isTrue(stderr.endsWith("\r\u001b[K"))
    }))

  it.scoped("says what is wrong", () =>
    Effect.gen(function*() {
      const root = yield* tree
      const fs = yield* FileSystem.FileSystem
      const empty = yield* fs.makeTempDirectoryScoped()
      const wrong = (...args: ReadonlyArray<string>) =>
        Effect.map(simulate(args), ({ exitCode, stderr }) => `${exitCode} ${stderr.split("\n")[0]}`)
      const link = "It takes bytes per second with a unit, such as 100MB/s, or several with the time from which each " +
        "holds, such as 100MB/s,25MB/s@30s."
      assert.strictEqual(yield* wrong(root, "--link", "fast"), `2 sluice: --link: "fast" is not a valid value. ${link}`)
      assert.strictEqual(
        yield* wrong(root, "--link", "9MB/s,1MB/s@9s,2MB/s@3s"),
        `2 sluice: --link: "9MB/s,1MB/s@9s,2MB/s@3s" is not a valid value. ${link}`
      )
      assert.strictEqual(
        yield* wrong(root, "--errors", "2"),
        "2 sluice: --errors: \"2\" is not a valid value. It takes a share of all requests, such as 1% or 0.01."
      )
      assert.strictEqual(
        yield* wrong(root, "--strategy", "fast"),
        "2 sluice: --strategy: \"fast\" is not a valid value. It takes one of adaptive, pool, rate and unlimited."
      )
      assert.strictEqual(
        yield* wrong(root, "--strategy", "rate"),
        "2 sluice: --strategy rate needs a rate: add --rate, such as --rate 50/s."
      )
      assert.strictEqual(
        yield* wrong(root, "--files", "3"),
        "2 sluice: --files is for made-up files: remove the source, or this flag."
      )
      assert.strictEqual(
        yield* wrong(root, "--latency", "1ms", "--base-rate", "1/s"),
        "2 sluice: --latency and --base-rate do not apply with a source or a network: use --rtt, --per-connection and --errors."
      )
      assert.match(yield* wrong(`${root}/nowhere`), /^3 sluice: The source .*nowhere does not exist\.$/)
      assert.strictEqual(yield* wrong(empty), "3 sluice: There are no files to upload.")
    }).pipe(Effect.provide(InProcess.PlatformLayer)))
})
