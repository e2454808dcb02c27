import { assert, describe, it } from "@effect/vitest"
import { UploadError } from "@sluice/core"
import * as Advice from "../../src/targets/Advice.js"
import type * as Targets from "../../src/targets/Targets.js"

const rejected = (reason: UploadError.Rejected["reason"], detail: string) =>
  new UploadError.Rejected({ reason, detail })

const advise = (error: UploadError.UploadError, kind: Targets.Kind, check: Advice.Check = "write") =>
  Advice.forError(error, { kind, check }) ?? ""

describe("Advice", () => {
  it("knows a tus server that was taken for another one", () => {
    const conflict = new UploadError.Conflict({ detail: "http://h/x answered 412: Tus-Resumable Required" })
    assert.include(advise(conflict, "Http"), "write tus+https://")
    assert.include(advise(conflict, "S3"), "write tus+https://")
    assert.include(advise(rejected("Unsupported", "http://h/x answered 400: no Tus-Resumable"), "Http"), "write tus+")
    assert.notInclude(advise(conflict, "Tus"), "write tus+")
  })

  it("does not doubt that files can be put if only reading is refused", () => {
    const unsupported = rejected("Unsupported", "http://h/x answered 501")
    assert.include(advise(unsupported, "Http"), "does not accept files by PUT")
    for (const check of ["read", "look", "remove"] as const) assert.strictEqual(advise(unsupported, "Http", check), "")
  })

  it("names the flags that servers of S3 refuse", () => {
    const storageClass = rejected("Unsupported", "s3://b answered 400 InvalidStorageClass: not valid.")
    for (const flag of ["--storage-class", "--acl", "--header", "--if-absent", "--provider", "--path-style"]) {
      assert.include(advise(storageClass, "S3"), flag)
    }
    assert.notInclude(advise(storageClass, "S3", "list"), "--storage-class")
  })

  it("does not blame the bucket if one name is refused", () => {
    const name = rejected("NotFound", "s3://b answered 404 NoSuchKey: The specified key does not exist.")
    assert.include(advise(name, "S3"), "this name")
    assert.isTrue(Advice.isOfOneKey(name))
    const others = ["s3://b answered 404 NoSuchBucket", "s3://b answered 404", "s3://b answered 404 Not Found nginx"]
    for (const message of others) {
      assert.include(advise(rejected("NotFound", message), "S3"), "Create the bucket")
      assert.isFalse(Advice.isOfOneKey(rejected("NotFound", message)))
    }
  })

  it("names the permission that each step of uploads in parts needs", () => {
    const forbidden = rejected("Forbidden", "s3://b answered 403 AccessDenied")
    assert.include(advise(forbidden, "S3", "resume"), "Allow s3:ListMultipartUploadParts on")
    assert.include(advise(forbidden, "S3", "abort"), "Allow s3:AbortMultipartUpload on")
  })

  it("names both halves of credentials that do not fit", () => {
    const mismatch = rejected("Unauthorized", "s3://b answered 403 SignatureDoesNotMatch")
    assert.include(advise(mismatch, "S3"), "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
  })

  it("says that a server may not speak S3 if it refuses a new key as taken", () => {
    const conflict = new UploadError.Conflict({ detail: "s3://b answered 412" })
    assert.include(advise(conflict, "S3"), "does not speak S3")
    assert.notInclude(advise(conflict, "Local"), "S3")
  })

  it("names the variable that a proxy comes from, and does not blame the server behind it", () => {
    const transient = (detail: string) => new UploadError.Transient({ reason: "Connection", detail })
    const dead = advise(transient("The proxy http://p:3128 (ALL_PROXY) cannot be reached (ECONNREFUSED)."), "S3")
    assert.include(dead, "Check the address in ALL_PROXY, and that the proxy is running.")
    assert.include(dead, "NO_PROXY")
    assert.notInclude(dead, "listens")
    const broken = transient(
      "The connection to https://h/ through the proxy http://p (HTTPS_PROXY) failed (other side closed)."
    )
    assert.include(advise(broken, "Http"), "HTTPS_PROXY names an HTTP proxy")
    const stranger = rejected("Unauthorized", "The proxy http://p (http_proxy), on the way to http://h/, answered 407.")
    assert.include(advise(stranger, "Http"), "Put the user and the password into http_proxy")
    const closed = rejected("Forbidden", "The proxy http://p (HTTPS_PROXY), on the way to https://h/, answered 403.")
    assert.include(advise(closed, "S3"), "The proxy in HTTPS_PROXY does not reach the destination")
    for (
      const detail of [
        "The proxy in ALL_PROXY cannot be used: it is a socks5:// proxy, and only http:// and https:// proxies are supported.",
        "The address of the proxy in ALL_PROXY is not valid."
      ]
    ) assert.include(advise(rejected("Unsupported", detail), "Http"), "Set ALL_PROXY to the address of an HTTP proxy")
  })

  it("does not blame a server for a request that was never sent", () => {
    const sizeless =
      "The destination must know the size beforehand, and the source gives more than 8.0 MiB without saying how many."
    for (const kind of ["Http", "Tus", "S3"] as const) {
      assert.include(advise(rejected("Unsupported", sizeless), kind), "Write it to a file first")
    }
    const header = rejected("Unsupported", "The request to http://h/x cannot be sent: the header \"a b\" is not valid.")
    assert.strictEqual(advise(header, "Http"), "")
    assert.strictEqual(
      advise(rejected("Unexpected", "http://h/x answered with headers that are too large to read."), "Http"),
      ""
    )
  })

  it("says what to do about a lock", () => {
    const locked = new UploadError.Transient({
      reason: "Unavailable",
      detail: "http://h/x answered 423 (it is locked)"
    })
    assert.include(advise(locked, "Http"), "Somebody has locked it")
  })

  it("says what to do if something in between has answered, for any request", () => {
    const page = (detail: string) => new UploadError.Transient({ reason: "Unavailable", detail })
    for (const kind of ["Http", "S3", "Tus"] as const) {
      const advice = advise(page("http://h/ answered with a web page (Sign in): something in between may have"), kind)
      assert.include(advice, "sign in")
      assert.include(advice, "NO_PROXY")
    }
    assert.include(advise(page("http://h/ answered 503"), "Http"), "try again later")
  })
})
