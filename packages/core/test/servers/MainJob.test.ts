import { assert, describe, it, vi } from "@effect/vitest"
import { Strategy, Uploader, UploadFile } from "@sluice/core"
import * as S3 from "@sluice/core/destinations/S3"
import * as Tus from "@sluice/core/destinations/Tus"
import * as TransportNode from "@sluice/core/TransportNode"
import { Effect, Layer } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { inject } from "vitest"
import * as TemporaryDirectory from "../contract/TemporaryDirectory.js"
import { pattern, sameBytes } from "../contract/TestSource.js"
import * as TusReference from "../TusReference.js"
import * as Swift from "./Swift.js"

vi.setConfig({ testTimeout: 120_000 })

const mib = 1024 ** 2

/** 300 files of 0 B to 20 MiB, most of them small, in folders and under odd names. */
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
  8 * mib,
  8 * mib + 1,
  13 * mib,
  20 * mib,
  ...Array.from({ length: 287 }, (_, i) => (i * 7919) % 60_000)
]

const contents: ReadonlyMap<string, Uint8Array> = new Map(
  sizes.map((size, i) => [`folder ${i % 7}/${i % 3 === 0 ? "ünï+%&=" : "plain"}/${i}.bin`, pattern(size, i + 1)])
)

const uploadAll = Effect.flatMap(
  Uploader.Uploader,
  (uploader) => uploader.uploadAll(Array.from(contents, ([key, bytes]) => UploadFile.fromBytes(key, bytes)))
)

const options = { strategy: Strategy.workerPool({ workers: 16 }) }

const swift = inject("swift")

describe("many files", () => {
  if ("skipped" in swift) it.skip(`skipped: ${swift.skipped}`, () => {})
  else {
    it.live("are in a bucket of Swift, byte for byte, as another client reads them", () =>
      Effect.gen(function*() {
        const bucket = yield* Swift.bucket(swift.port)
        const report = yield* Effect.provide(
          uploadAll,
          Uploader.layer(options).pipe(
            Layer.provide(S3.layer({ ...Swift.options(bucket), prefix: "some/prefix/" })),
            Layer.provide(TransportNode.layer({ connections: 16 }))
          )
        )
        assert.deepStrictEqual([report.files.uploaded, report.failures], [contents.size, []])
        assert.deepStrictEqual(
          [...yield* bucket.objects].sort(),
          Array.from(contents.keys(), (key) => `some/prefix/${key}`).sort()
        )
        for (const [key, bytes] of contents) {
          assert.isTrue(sameBytes(yield* bucket.read(`some/prefix/${key}`), bytes), key)
        }
        assert.deepStrictEqual(yield* bucket.unfinished, [])

        // The same with the AWS command line, over S3, where it is installed.
        const aws = "/usr/bin/aws"
        if (!fs.existsSync(aws)) {
          process.stdout.write(`not read back by ${aws}: it is not installed\n`)
          return
        }
        const directory = yield* TemporaryDirectory.make
        const args = ["s3", "sync", "--no-progress", `s3://${bucket.name}/some/prefix`, directory]
        const ran = spawnSync(aws, ["--endpoint-url", bucket.endpoint, "--region", "us-east-1", ...args], {
          encoding: "utf8",
          timeout: 90_000,
          env: {
            PATH: process.env["PATH"],
            HOME: directory,
            AWS_ACCESS_KEY_ID: "test:tester",
            AWS_SECRET_ACCESS_KEY: "testing",
            AWS_EC2_METADATA_DISABLED: "true"
          }
        })
        assert.strictEqual(ran.status, 0, ran.stderr)
        assert.strictEqual(TemporaryDirectory.filesBelow(directory).length, contents.size)
        for (const [key, bytes] of contents) {
          assert.isTrue(sameBytes(fs.readFileSync(path.join(directory, key)), bytes), key)
        }
      }).pipe(Effect.scoped))
  }

  it.scopedLive("are in the directory of a tus server, byte for byte", () =>
    Effect.gen(function*() {
      const directory = yield* TemporaryDirectory.make
      const { url } = yield* TusReference.serve({ directory })
      const report = yield* Effect.provide(
        uploadAll,
        Uploader.layer(options).pipe(
          Layer.provide(Tus.layer({ url })),
          Layer.provide(TransportNode.layer({ connections: 16 }))
        )
      )
      assert.deepStrictEqual([report.files.uploaded, report.failures], [contents.size, []])
      const uploads = TusReference.uploads(directory)
      assert.deepStrictEqual(uploads.map(({ key }) => key).sort(), [...contents.keys()].sort())
      for (const { file, key } of uploads) {
        assert.isTrue(sameBytes(fs.readFileSync(file), contents.get(key) ?? pattern(1)), key)
      }
    }))
})
