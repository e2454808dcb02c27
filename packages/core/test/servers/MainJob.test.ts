import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { inject } from "vitest"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"
import { pattern, sameBytes } from "../support/TestSource.js"
import * as TusReference from "../support/TusReference.js"
import * as Sluice from "./Sluice.js"
import * as Swift from "./Swift.js"

// About a minute for both together, on two idle cores.
vi.setConfig({ testTimeout: 300_000 })

const mib = 1024 ** 2

/** 2,000 files of 0 B to 64 MiB, most of them small. */
const sizes: ReadonlyArray<number> = [
  0,
  1,
  2,
  4095,
  4096,
  4097,
  mib - 1,
  mib,
  mib + 1,
  8 * mib - 1,
  8 * mib,
  8 * mib + 1,
  13 * mib,
  20 * mib,
  64 * mib,
  ...Array.from({ length: 1985 }, (_, i) => (i * 7919) % 20_000)
]

/** In folders, and under odd names. */
const keys: ReadonlyArray<string> = sizes.map((_, i) =>
  `folder ${i % 7}/${i % 3 === 0 ? "ünï+%&=#'(x) *" : "plain"}/${i}.bin`
)

const write = (directory: string): void => {
  for (const [i, key] of keys.entries()) {
    const file = path.join(directory, key)
    if (i < 42) fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, pattern(sizes[i] ?? 0, i + 1))
  }
}

/** Which keys are not what they were, read by what gives their bytes. */
const unequal = <E>(read: (key: string) => Effect.Effect<Uint8Array | undefined, E>) =>
  Effect.map(
    Effect.forEach(keys, (key, i) =>
      Effect.map(read(key), (bytes) =>
        bytes !== undefined && sameBytes(bytes, pattern(sizes[i] ?? 0, i + 1)) ? [] : [key]), { concurrency: 16 }),
    (found) =>
      found.flat()
  )

const swift = inject("swift")

const report = (stdout: string): Record<string, unknown> => JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "")

const all = { total: keys.length, same: keys.length, missing: 0, different: 0, extra: 0, unreadable: 0, skipped: 0 }

describe("2,000 files of a directory", () => {
  if ("skipped" in swift) it.skip(`skipped: ${swift.skipped}`, () => {})
  else {
    it.scopedLive("are in a bucket of Swift, byte for byte, as another client reads them", () =>
      Effect.gen(function*() {
        const root = yield* TemporaryDirectory.make
        const home = yield* TemporaryDirectory.make
        const back = yield* TemporaryDirectory.make
        const bucket = yield* Swift.bucket(swift.port)
        write(root)
        const env = { AWS_ACCESS_KEY_ID: "test:tester", AWS_SECRET_ACCESS_KEY: "testing", AWS_REGION: "us-east-1" }
        const destination = [`s3://${bucket.name}/some/prefix`, "--endpoint", bucket.endpoint]
        const upload = yield* Sluice.run(["upload", root, ...destination, "--quiet"], { home, env })
        assert.deepStrictEqual([upload.exitCode, upload.stderr], [0, ""])
        assert.deepStrictEqual([...yield* bucket.objects].sort(), keys.map((key) => `some/prefix/${key}`).sort())
        assert.deepStrictEqual(yield* bucket.unfinished, [])

        const client = yield* copyBack(bucket, back)
        const bytesOf = client === undefined
          ? (key: string) => bucket.read(`some/prefix/${key}`)
          : (key: string) => Effect.sync(() => fs.readFileSync(path.join(back, key)))
        assert.deepStrictEqual(yield* unequal(bytesOf), [])
        process.stdout.write(`read back by ${client ?? "Swift's own API"}\n`)

        const verify = yield* Sluice.run(["verify", root, ...destination, "--json"], { home, env })
        assert.strictEqual(verify.exitCode, 0, verify.stderr)
        assert.deepInclude(report(verify.stdout), { files: all, sameBySize: 0, extras: "LookedFor" })
      }))
  }

  it.scopedLive("are in the directory of a tus server, byte for byte", () =>
    Effect.gen(function*() {
      const root = yield* TemporaryDirectory.make
      const home = yield* TemporaryDirectory.make
      const directory = yield* TemporaryDirectory.make
      const { url } = yield* TusReference.serve({ directory })
      write(root)
      const destination = [`tus+${url}`, "--locations", `${home}/list`]
      const upload = yield* Sluice.run(["upload", root, ...destination, "--quiet"], { home })
      assert.deepStrictEqual([upload.exitCode, upload.stderr], [0, ""])
      const uploads = TusReference.uploads(directory)
      assert.deepStrictEqual(uploads.map(({ key }) => key).sort(), [...keys].sort())
      const files = new Map(uploads.map(({ file, key }) => [key, file]))
      assert.deepStrictEqual(yield* unequal((key) => Effect.sync(() => fs.readFileSync(files.get(key) ?? ""))), [])

      const verify = yield* Sluice.run(["verify", root, ...destination, "--json"], { home })
      assert.strictEqual(verify.exitCode, 0, verify.stderr)
      assert.deepInclude(report(verify.stdout), { files: all, sameBySize: 0 })
    }))
})

/** Copies a bucket by the first S3 client that is installed, and gives its name. */
const copyBack = ({ endpoint, name }: Swift.Bucket, directory: string): Effect.Effect<string | undefined> =>
  Effect.gen(function*() {
    const env = {
      HOME: directory,
      AWS_ACCESS_KEY_ID: "test:tester",
      AWS_SECRET_ACCESS_KEY: "testing",
      AWS_EC2_METADATA_DISABLED: "true"
    }
    const source = `${name}/some/prefix`
    const clients = [
      {
        program: "/usr/bin/rclone",
        line: `--config /dev/null --s3-provider Other --s3-env-auth --s3-endpoint ${endpoint} --s3-region us-east-1` +
          ` --transfers 16 copy :s3:${source} ${directory}`
      },
      {
        program: "/usr/bin/aws",
        line: `--endpoint-url ${endpoint} --region us-east-1 s3 sync --no-progress --quiet s3://${source} ${directory}`
      }
    ]
    const found = clients.find(({ program }) => fs.existsSync(program))
    if (found === undefined) return undefined
    const { exitCode, stderr } = yield* Sluice.runProgram(found.program, found.line.split(" "), env)
    assert.strictEqual(exitCode, 0, stderr)
    return found.program
  })
