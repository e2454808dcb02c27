import { FileSystem, Path } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { UploadReport } from "@sluice/core"
import { Effect, Schema } from "effect"
import * as Simulation from "../../src/simulate/Simulation.js"
import * as Style from "../../src/terminal/Style.js"
import * as InProcess from "../support/InProcess.js"

/** Runs `sluice` with these arguments, and gives what it printed. */
const sluice = (args: ReadonlyArray<string>, terminal?: { readonly columns: number }) =>
  InProcess.run(args, { ...terminal, style: terminal === undefined ? Style.plain : Style.ansi })

const decodeLine = Schema.decodeUnknownSync(Schema.parseJson(Schema.Struct({
  _tag: Schema.Literal("Simulation"),
  version: Schema.Literal(1),
  strategy: Schema.String,
  detail: Schema.String,
  virtualTime: Schema.Literal(true),
  scenario: Schema.Object,
  report: UploadReport.UploadReport
})))

const table = `\
100 files over a simulated network. 100 to 1,100 bytes each, 1 ms a byte, 5% of attempts fail, seed 1.
Time is virtual: exactly what the uploads would take, and the same for the same seed.

strategy                                    makespan  files/s   MB/s  peak in flight  retries  failures
unlimited      all at once                   1.567 s     63.8  0.040             100        4         0
worker pool    10 workers                    6.822 s     14.7  0.009              10        4         0
rate limited   50 starts a second            2.929 s     34.1  0.022              38        4         0
adaptive rate  10 starts a second at first   8.347 s     12.0  0.008              17        4         0
`

describe("sluice simulate", () => {
  it.effect("prints the same table for the same seed", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sluice(["simulate"]), { exitCode: 0, stdout: table, stderr: "" })
      assert.deepStrictEqual(yield* sluice(["simulate", "--seed", "1"]), { exitCode: 0, stdout: table, stderr: "" })
      const other = yield* sluice(["simulate", "--seed", "2"])
      assert.notStrictEqual(other.stdout.replace("seed 2", "seed 1"), table)
    }))

  it.effect("follows its flags, exactly", () =>
    Effect.gen(function*() {
      const { stdout } = yield* sluice(
        ("simulate --files 4 --min-size 250B --max-size 250B --latency 2ms --failures 0% " +
          "--workers 3 --rate 2/s --base-rate 600/m --seed any").split(" ")
      )
      assert.deepStrictEqual(stdout.split("\n"), [
        "4 files over a simulated network. 250 bytes each, 2 ms a byte, 0% of attempts fail, seed any.",
        "Time is virtual: exactly what the uploads would take, and the same for the same seed.",
        "",
        "strategy                                    makespan  files/s   MB/s  peak in flight  retries  failures",
        "unlimited      all at once                   0.500 s      8.0  0.002               4        0         0",
        "worker pool    3 workers                     1.000 s      4.0  0.001               3        0         0",
        "rate limited   2 starts a second             2.000 s      2.0  0.001               1        0         0",
        "adaptive rate  10 starts a second at first   0.800 s      5.0  0.001               4        0         0",
        ""
      ])
    }))

  it.effect("prints a line of JSON for each strategy", () =>
    Effect.gen(function*() {
      const { exitCode, stderr, stdout } = yield* sluice(["simulate", "--json", "--files", "20"])
      assert.strictEqual(exitCode, 0)
      assert.strictEqual(stderr, "")
      const lines = stdout.trimEnd().split("\n").map((line) => decodeLine(line))
      assert.deepStrictEqual(
        lines.map(({ report, strategy }) => [strategy, report.files.uploaded]),
        [["unlimited", 20], ["worker pool", 20], ["rate limited", 20], ["adaptive rate", 20]]
      )
      assert.deepStrictEqual(lines[0]!.scenario, { ...Simulation.defaults, files: 20 })
    }))

  it.scoped("draws a picture, into a directory that it makes", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const file = path.join(yield* fs.makeTempDirectoryScoped(), "docs", "strategies.svg")
      const result = yield* sluice(["simulate", "--svg", file])
      assert.deepStrictEqual(result, { exitCode: 0, stdout: table, stderr: `The picture is in ${file}.\n` })
      const svg = yield* fs.readFileString(file)
      assert.include(svg, ">4 ways to upload 100 files</text>")
      assert.include(svg, ">1.567 s · peak 100 in flight</text>")
      assert.strictEqual(svg.match(/class="level"/g)?.length, 5)
    }).pipe(Effect.provide(InProcess.PlatformLayer)))

  it.scoped("says which flag is wrong", () =>
    Effect.gen(function*() {
      const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
      const wrong = (args: string) =>
        Effect.map(sluice(["simulate", "--files", "2", ...args.split(" ")]), ({ exitCode, stderr }) => {
          assert.strictEqual(exitCode, 2)
          return stderr.split("\n")[0]
        })
      assert.strictEqual(
        yield* wrong("--failures most"),
        "sluice: --failures: \"most\" is not a valid value. It takes a share of all attempts, such as 5% or 0.05."
      )
      assert.strictEqual(
        yield* wrong("--failures 101%"),
        "sluice: --failures: \"101%\" is not a valid value. It takes a share of all attempts, such as 5% or 0.05."
      )
      assert.strictEqual(
        yield* wrong("--min-size 2KiB --max-size 1KiB"),
        "sluice: --min-size is 2.0 KiB, more than --max-size, 1.0 KiB."
      )
      assert.match((yield* wrong(`--svg ${directory}`)) ?? "", /^sluice: --svg: ".*" cannot be written\. /)
    }).pipe(Effect.provide(InProcess.PlatformLayer)))

  it.effect("is painted on a terminal, and narrower on a narrow one", () =>
    Effect.gen(function*() {
      const wide = yield* sluice(["simulate"], { columns: 120 })
      assert.include(wide.stdout, "\u001b[1munlimited    \u001b[22m  all at once")
      const narrow = yield* sluice(["simulate"], { columns: 80 })
      assert.include(narrow.stdout, "\u001b[1munlimited    \u001b[22m   1.567 s     63.8  0.040")
      const narrowest = yield* sluice(["simulate"], { columns: 40 })
      assert.include(
        narrowest.stdout,
        "\u001b[1munlimited\u001b[22m: all at once\n  makespan 1.567 s\n  files/s 63.8\n"
      )
    }))

  it.effect("reports files that fail", () =>
    Effect.gen(function*() {
      const outcomes = yield* Simulation.run({ ...Simulation.defaults, files: 10, failureRate: 1 })
      assert.deepStrictEqual(outcomes.map(({ report }) => report.files.failed), [10, 10, 10, 10])
      const [, unlimited] = Simulation.table(outcomes, {
        columns: Infinity,
        style: { ...Style.plain, red: (text) => `<${text}>` }
      })
      assert.match(unlimited!, /^unlimited +all at once +< .* 10>$/)
      assert.match(Simulation.picture(Simulation.defaults, outcomes).panels[0]!.summary, /10 failed$/)
    }))

  it.effect("works for a network that takes no time", () =>
    Effect.gen(function*() {
      const outcomes = yield* Simulation.run({ ...Simulation.defaults, files: 10, failureRate: 0, latencyMillis: 0 })
      const [, unlimited] = Simulation.table(outcomes, { columns: Infinity, style: Style.plain })
      assert.match(unlimited!, /^unlimited +all at once +0\.000 s +- +- +1 +0 +0$/)
    }))
})
