import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as InProcess from "./support/InProcess.js"

/** Runs the command line in this process. */
const sluice = (...args: ReadonlyArray<string>) => InProcess.run(args)

describe("Cli", () => {
  it.effect("prints its version", () =>
    Effect.gen(function*() {
      const { exitCode, stderr, stdout } = yield* sluice("--version")
      assert.match(stdout, /^\d+\.\d+\.\d+\n$/)
      assert.deepStrictEqual({ exitCode, stderr }, { exitCode: 0, stderr: "" })
    }))

  it.effect("gives help, for every flag", () =>
    Effect.gen(function*() {
      const { exitCode, stderr, stdout } = yield* sluice("upload", "x", "--help")
      assert.deepStrictEqual({ exitCode, stderr }, { exitCode: 0, stderr: "" })
      assert.match(stdout, /^Usage: sluice upload <source>\.\.\. <destination> \[flags\]\n/)
      assert.include(
        stdout,
        "\n  --rate 50/s\n      The maximum number of uploads started per second, including retries.\n"
      )
      assert.include(stdout, "\n  130  stopped by Ctrl-C or SIGTERM\n")
      const flags =
        "strategy concurrency rate bandwidth retries retry-delay outage include exclude files-from follow-symlinks dry-run json " +
        "quiet report failed fsync part-size part-concurrency memory checksum on-interrupt on-source-change journal " +
        "no-journal content-range"
      assert.deepStrictEqual(
        flags.split(" ").filter((flag) => !stdout.includes(`\n  --${flag}`)),
        []
      )
      assert.isAtMost(Math.max(...stdout.split("\n").map((line) => line.length)), 100)
      assert.notMatch(stdout, /user-defined|This setting/)
      assert.strictEqual((yield* sluice("-h")).stdout, (yield* sluice()).stdout)
      assert.include((yield* sluice("simulate", "--help")).stdout, "--svg FILE")
      assert.include((yield* sluice("verify", "--help")).stdout, "\n  --ignore-extra\n")
      assert.include((yield* sluice("uploads")).stdout, "uploads abort")
      assert.include((yield* sluice("uploads", "ls", "--help")).stdout, "--json")
      assert.include((yield* sluice("uploads", "abort", "x", "-h")).stdout, "--all")
      for (const command of ["upload", "verify", "uploads ls", "uploads abort"]) {
        assert.notMatch((yield* sluice(...command.split(" "), "--help")).stdout, /cancel/i)
      }
    }))

  it.effect("makes completions", () =>
    Effect.gen(function*() {
      const { stdout } = yield* sluice("--completions", "bash")
      for (const word of ["--files-from", "verify", "uploads", "abort", "--ignore-extra"]) assert.include(stdout, word)
    }))

  it.effect("says what is wrong with a flag or an argument, and exits with 2", () =>
    Effect.gen(function*() {
      const src = import.meta.dirname
      const problems = {
        "upload": "The source and the destination are missing.",
        "upload src": "The destination is missing: there is only \"src\".",
        "uplaod a b":
          "\"uplaod\" is not a command. The commands are upload, verify, uploads ls, uploads abort, doctor, simulate.",
        "upload a b --conccurency 4": "--conccurency is not a flag of \"sluice upload\". Did you mean --concurrency?",
        "upload a b --concurrency 0":
          "--concurrency: \"0\" is not a valid value. It takes a whole number from 1, or auto.",
        "upload a b --strategy fast":
          "--strategy: \"fast\" is not a valid value. It takes one of adaptive, pool, rate and unlimited.",
        "upload a b --bandwidth fast":
          "--bandwidth: \"fast\" is not a valid value. It takes bytes per second with a unit, such as 10MiB/s, 500kB/s or 2M.",
        "upload a b --part-size 0":
          "--part-size: \"0\" is not a valid value. It takes a size of at least 64KiB, with a unit, such as 8MiB or 64M.",
        "upload a b --part-size 1":
          "--part-size: \"1\" is not a valid value. It takes a size of at least 64KiB, with a unit, such as 8MiB or 64M.",
        "upload a b --part-concurrency 0":
          "--part-concurrency: \"0\" is not a valid value. It takes a whole number from 1.",
        "upload a b --memory lots":
          "--memory: \"lots\" is not a valid value. It takes a size with a unit, such as 256MiB or 1GiB.",
        "upload a b --checksum crc16":
          "--checksum: \"crc16\" is not a valid value. It takes one of crc32, crc32c, crc64nvme, md5, sha256, none.",
        "upload a b --on-interrupt cancel": "--on-interrupt: \"cancel\" is not a valid value. It takes abort or keep.",
        "upload a b --on-source-change ignore":
          "--on-source-change: \"ignore\" is not a valid value. It takes one of fail, retry and skip.",
        "upload a b --journal here --no-journal": "--journal and --no-journal contradict each other.",
        "upload a b --retries=-1": "--retries: \"-1\" is not a valid value. It takes a whole number from 0.",
        "upload a b --retry-delay 100":
          "--retry-delay: \"100\" is not a valid value. It takes a time with a unit, such as 100ms or 2s.",
        "upload a b --strategy unlimited --concurrency 4":
          "--strategy unlimited and --concurrency contradict each other. Use --strategy pool.",
        "upload a b --strategy rate": "--strategy rate needs a rate: add --rate, such as --rate 50/s.",
        "upload a b c --files-from list": "--files-from takes one source, which is a directory, or none.",
        "upload a sftp://host":
          "Destinations of the kind \"sftp:\" are not supported yet. Destinations are directories, s3://, tus+http(s)://, http(s):// " +
          "and sim:.",
        [`upload ${src} sim: --report /nowhere/report`]:
          "--report: \"/nowhere/report\" is in a directory that does not exist. Name a file that can be written.",
        [`upload ${src} sim: --failed ${src}`]: `--failed: "${src}" is a directory. Name a file that can be written.`,
        [`upload ${src} ${src}/x`]:
          `The destination ${src}/x is inside the source ${src}, which would be uploaded into ` +
          "itself. Leave it out with --exclude \"/x\", or choose another destination."
      }
      for (const [line, problem] of Object.entries(problems)) {
        assert.deepStrictEqual(yield* sluice(...line.split(" ")), {
          exitCode: 2,
          stdout: "",
          stderr: `sluice: ${problem}\nTry sluice ${
            line.startsWith("upload ") || line === "upload" ? "upload " : ""
          }--help.\n`
        })
      }
    }))
})
