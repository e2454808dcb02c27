import { assert, describe, it } from "@effect/vitest"
import { Either, Option } from "effect"
import * as Targets from "../../src/targets/Targets.js"

const problem = (text: string) => Option.getOrThrow(Either.getLeft(Targets.parse(text)))

describe("Targets", () => {
  it("parses a path as a local directory", () => {
    for (const root of ["backup", "/mnt/backup", "./s3:x", "..", "a/b:c", "./me@host:/x", "with space"]) {
      assert.deepStrictEqual(Targets.parse(root), Either.right({ _tag: "Local", root }))
    }
    assert.deepStrictEqual(
      Targets.parse("file:///mnt/a%20b"),
      Either.right({ _tag: "Local", root: "/mnt/a b" })
    )
    assert.include(problem("file://elsewhere/x"), "is not the address of a local directory")
    assert.include(problem(""), "empty")
  })

  it("does not change an http address, except for its fragment", () => {
    for (const url of ["http://host", "https://host:8080/a?token=1", "HTTPS://host/{key}?x=1"]) {
      assert.deepStrictEqual(Targets.parse(url), Either.right({ _tag: "Http", url }))
    }
    assert.deepStrictEqual(Targets.parse("http://host/a#b"), Either.right({ _tag: "Http", url: "http://host/a" }))
    assert.strictEqual(problem("http://"), "The destination is not a valid http(s) address.")
  })

  it("refuses credentials in an address, without saying them", () => {
    const said = problem("https://me:secret@host/path?token=hidden")
    assert.include(said, "SLUICE_HTTP_TOKEN")
    assert.include(said, "host")
    assert.notMatch(said, /secret|hidden|me:/)
  })

  it("knows which kinds of destinations are not supported yet", () => {
    for (const url of ["az://x", "sftp://host/x", "ftp://host", "ssh://host", "abfss://x", "rsync://host/x"]) {
      assert.include(problem(url), "not supported yet")
    }
    assert.include(problem("gs://bucket"), "s3://bucket/prefix --endpoint https://storage.googleapis.com")
    assert.include(problem("r2://bucket"), "--endpoint https://ACCOUNT.r2.cloudflarestorage.com")
    assert.include(problem("tus://x"), "tus+https://")
    assert.include(problem("foo:bar"), "./foo:")
  })

  it("does not mistake another machine's path for a directory", () => {
    for (
      const text of [
        "me@host:/backup",
        "me@host:backup",
        "host:/backup",
        "host.example.org:backup",
        "my_host:x",
        "remote:bucket/prefix",
        "remote:",
        "[::1]:/x",
        "me@[::1]:/x",
        "192.168.0.1:/x",
        "10:/x",
        "host::module",
        ":sftp:x",
        "back up:x"
      ]
    ) {
      const said = problem(text)
      assert.match(said, /scp|rclone/, text)
      assert.include(said, "s3://")
      assert.include(said, `./${text.slice(0, text.indexOf(":"))}:…`)
    }
    // What comes after the colon may be a password.
    assert.notInclude(problem("me:secret@host:/x"), "secret")
  })

  it("recognizes a drive, on Windows only", () => {
    for (const root of ["C:\\backup", "c:/backup", "D:"]) {
      assert.deepStrictEqual(Targets.parse(root, { platform: "win32" }), Either.right({ _tag: "Local", root }))
      const said = Targets.parse(root, { platform: "linux" })
      assert.include(Option.getOrThrow(Either.getLeft(said)), "is a Windows drive")
    }
  })

  it("says how Azure, WebDAV and Swift are reached", () => {
    for (const url of ["az://x", "azure://x", "wasbs://x"]) assert.include(problem(url), "x-ms-blob-type: BlockBlob")
    for (const url of ["dav://host/x", "webdavs://host/x"]) assert.include(problem(url), "https://host/path")
    assert.include(problem("swift://container"), "--provider swift")
    const hint = (url: string, headers = {}) => Targets.azureHint(Either.getOrThrow(Targets.parse(url)), headers)
    for (
      const url of [
        "https://me.blob.core.windows.net/c/{key}?sig=secret",
        "http://me.blob.core.windows.net:80/c",
        "https://me.dfs.core.windows.net/c",
        "https://ME.BLOB.CORE.WINDOWS.NET/c?sig=secret",
        "https://me.blob.core.chinacloudapi.cn/c"
      ]
    ) {
      assert.include(hint(url), "x-ms-blob-type: BlockBlob", url)
      assert.notInclude(hint(url), "secret")
      assert.isUndefined(hint(url, { "x-ms-blob-type": "BlockBlob" }))
    }
    for (const url of ["https://host/me.blob.core.windows.net/", "https://blob.core.windows.net.example.org/"]) {
      assert.isUndefined(hint(url), url)
    }
  })

  it("knows the address of one object by its query", () => {
    const isExact = (url: string) => Targets.isExact(Either.getOrThrow(Targets.parse(url)))
    for (const url of ["https://host/app.tgz?X-Amz-Signature=1", "http://host/a/b?x", "HTTPS://host/a?sig=a/b"]) {
      assert.isTrue(isExact(url), url)
    }
    for (
      const url of [
        "https://host/app.tgz",
        "https://host/{key}?sig=1",
        "https://host/a?name={key}",
        "https://host/files/?overwrite=1",
        "https://host?x=1",
        "https://host/?x=1",
        "https://host/a?",
        "tus+https://host/a?x=1"
      ]
    ) {
      assert.isFalse(isExact(url), url)
    }
  })

  it("reads a bucket, its prefix and its server", () => {
    const s3 = (text: string, around?: Targets.Around) => {
      const target = Either.getOrThrow(Targets.parse(text, around))
      return target._tag === "S3"
        ? [target.bucket, target.prefix, target.endpoint, Targets.nameOf(target)]
        : target._tag
    }
    assert.deepStrictEqual(s3("s3://bkt"), ["bkt", "", undefined, "s3://bkt"])
    assert.deepStrictEqual(s3("S3://bkt/"), ["bkt", "", undefined, "s3://bkt"])
    assert.deepStrictEqual(s3("s3://bkt/a/b"), ["bkt", "a/b/", undefined, "s3://bkt/a/b"])
    assert.deepStrictEqual(s3("s3://bkt/a#b %41/"), ["bkt", "a#b %41/", undefined, "s3://bkt/a#b %41"])
    const named = ["bkt", "a/", "http://h:9000/x", "s3://bkt/a?endpoint=http://h:9000/x"]
    assert.deepStrictEqual(s3("s3://bkt/a", { endpoint: "http://h:9000/x/" }), named)
    assert.deepStrictEqual(s3("s3://bkt/a?endpoint=http://h:9000/x"), named)
    assert.deepStrictEqual(s3("s3://bkt/a", { environment: { AWS_ENDPOINT_URL: "http://h:9000/x" } }), named)
    assert.deepStrictEqual(
      s3("s3://bkt/a", {
        endpoint: "http://h:9000/x",
        environment: { AWS_ENDPOINT_URL_S3: "http://other", AWS_ENDPOINT_URL: "http://another" }
      }),
      named
    )
    assert.strictEqual(s3("s3://bkt", { environment: { AWS_ENDPOINT_URL_S3: "" } })[2], undefined)
  })

  it("can parse a bucket that it has written down", () => {
    for (
      const text of ["s3://bkt", "s3://bkt/a%2Fb c?endpoint=https://h:1/p%26q", "s3://bkt?endpoint=http://[::1]:9"]
    ) {
      const target = Either.getOrThrow(Targets.parse(text))
      assert.deepStrictEqual(Targets.parse(Targets.nameOf(target)), Either.right(target))
    }
  })

  it("refuses an invalid bucket without revealing secrets", () => {
    assert.include(problem("s3://"), "bucket is missing")
    assert.include(problem("s3://bk t/x"), "is not a valid bucket name")
    assert.include(problem("s3://bkt/../other"), "contains a \"..\" segment")
    assert.include(problem("s3://bkt/a?versionId=1"), "takes only an endpoint")
    const said = problem("s3://AKID:secret@bkt/x")
    assert.include(said, "AWS_SECRET_ACCESS_KEY")
    assert.notMatch(said, /secret@|AKID/)
    for (const endpoint of ["http://me:secret@host", "https://host?token=secret", "secret", "ftp://secret"]) {
      const refusal = Targets.parse("s3://bkt", { endpoint })
      assert.isTrue(Either.isLeft(refusal))
      assert.notInclude(JSON.stringify(refusal), "secret")
    }
  })

  it("reads a tus server, and names it without its query", () => {
    const target = Either.getOrThrow(Targets.parse("tus+https://host/files/?token=secret#x"))
    assert.deepStrictEqual(target, { _tag: "Tus", url: "https://host/files/?token=secret" })
    assert.strictEqual(Targets.nameOf(target), "tus+https://host/files/?…")
    assert.include(problem("tus+http://"), "tus+http(s)")
    assert.notInclude(problem("tus+https://me:secret@host"), "secret")
  })

  it("reads a simulated network", () => {
    assert.deepStrictEqual(
      Targets.parse(
        "sim:?latency=20ms&latency-per-byte=1ms&bandwidth=1MB/s&connection-bandwidth=1k&failures=5%&max-in-flight=4" +
          "&retry-after=1s&seed=a+b"
      ),
      Either.right({
        _tag: "Simulated",
        network: {
          requestLatency: 20,
          latencyPerByte: 1,
          sharedBytesPerSecond: 1_000_000,
          bytesPerSecond: 1024,
          failureRate: 0.05,
          maxInFlight: 4,
          retryAfter: 1_000,
          seed: "a+b"
        }
      })
    )
    assert.deepStrictEqual(Targets.parse("sim:"), Either.right({ _tag: "Simulated", network: {} }))
    assert.deepStrictEqual(
      Targets.parse("sim:flaky?failures=0.5"),
      Either.right({ _tag: "Simulated", network: { requestLatency: "20 millis", failureRate: 0.5 } })
    )
    assert.strictEqual(
      problem("sim:?failures=150%"),
      "sim: failures: \"150%\" is not a valid value. It takes a share of all attempts, such as 0.05 or 5%."
    )
    assert.include(problem("sim:?speed=1"), "sim: has no \"speed\"")
    assert.include(problem("sim:?constructor=1"), "sim: has no \"constructor\"")
    assert.include(problem("sim:slowest"), "sim:slow")
  })
})

describe("an address that lacks a slash", () => {
  it("is refused, and its path does not become a host", () => {
    for (const text of ["http:/x", "https:x/y", "tus+http:/x"]) {
      const parsed = Targets.parse(text, { endpoint: undefined, environment: {} })
      assert.include(Either.isLeft(parsed) ? parsed.left : "taken", "lacks a slash", text)
    }
  })
})
