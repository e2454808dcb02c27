/**
 * Command-line tools, if they are on the PATH: each runs in its own process, measured by GNU time.
 */
import * as Effect from "effect/Effect"
import * as ChildProcess from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { Measurement } from "../Measurement.js"

interface Tool {
  readonly name: string
  readonly args: (directory: string, url: string) => ReadonlyArray<string>
}

export const tools: ReadonlyArray<Tool> = [
  { name: "s5cmd", args: (from, url) => ["--endpoint-url", url, "--log", "error", "cp", `${from}/*`, "s3://bucket/"] },
  {
    name: "rclone",
    args: (from, url) => [
      "copy",
      from,
      ":s3:bucket",
      "--s3-provider=Other",
      `--s3-endpoint=${url}`,
      "--s3-env-auth",
      "--s3-region=us-east-1",
      "--s3-no-check-bucket",
      // The sink keeps nothing, so a later check would find nothing.
      "--s3-no-head",
      "--transfers=16"
    ]
  },
  { name: "mc", args: (from) => ["--quiet", "cp", "--recursive", `${from}/`, "sink/bucket/"] },
  {
    name: "aws",
    args: (from, url) => ["--endpoint-url", url, "s3", "cp", "--recursive", "--only-show-errors", from, "s3://bucket/"]
  }
]

const timer = "/usr/bin/time"

/** The path of a tool, if it exists and can be measured. */
export const find = (name: string): string | undefined =>
  fs.existsSync(timer)
    ? (process.env["PATH"] ?? "").split(path.delimiter).map((directory) => path.join(directory, name)).find((file) =>
      fs.existsSync(file)
    )
    : undefined

/** Runs a tool, and returns its measurement. */
export const measure = (
  { args, name }: Tool,
  directory: string,
  url: string,
  files: number
): Effect.Effect<Measurement> =>
  Effect.async((resume) => {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bench-home-"))
    const { host } = new URL(url)
    const env = {
      PATH: process.env["PATH"],
      HOME: home,
      AWS_ACCESS_KEY_ID: "AKIDEXAMPLE",
      AWS_SECRET_ACCESS_KEY: "secretsecret",
      AWS_DEFAULT_REGION: "us-east-1",
      AWS_EC2_METADATA_DISABLED: "true",
      MC_HOST_sink: `http://AKIDEXAMPLE:secretsecret@${host}`
    }
    const command = ["-q", "-o", path.join(home, "time"), "-f", "%e %U %S %M", find(name) ?? name]
    ChildProcess.execFile(timer, [...command, ...args(directory, url)], { env }, (error, _, stderr) => {
      const said = error === null ? fs.readFileSync(path.join(home, "time"), "utf8") : ""
      fs.rmSync(home, { recursive: true, force: true })
      if (error !== null) return resume(Effect.die(new Error(`${name}: ${stderr || error.message}`)))
      const [wall = NaN, user = NaN, system = NaN, kibibytes = NaN] = said.trim().split(" ").map(Number)
      resume(Effect.succeed({
        wallMicros: wall * 1e6 / files,
        cpuMicros: (user + system) * 1e6 / files,
        peakBytes: kibibytes * 1024,
        startBytes: 0
      }))
    })
  })
