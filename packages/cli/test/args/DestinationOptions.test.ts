import { assert, describe, it } from "@effect/vitest"
import { Either, Option } from "effect"
import * as DestinationOptions from "../../src/args/DestinationOptions.js"
import * as HeaderLines from "../../src/args/HeaderLines.js"
import * as Targets from "../../src/targets/Targets.js"
import { noFlags } from "../support/NoFlags.js"

const settings = (address: string, flags: Partial<DestinationOptions.Flags>) =>
  DestinationOptions.settingsOf(Either.getOrThrow(Targets.parse(address)), { ...noFlags, ...flags })

const problem = (address: string, flags: Partial<DestinationOptions.Flags>) =>
  Option.getOrUndefined(Either.getLeft(settings(address, flags)))

describe("DestinationOptions", () => {
  it("are empty without flags", () => {
    for (const address of ["dir", "s3://bkt", "tus+http://h", "http://h", "sim:"]) {
      assert.deepStrictEqual(settings(address, {}), Either.right(DestinationOptions.defaults))
    }
  })

  it("are refused for other kinds of destinations", () => {
    const some = Option.some("x")
    const flags: ReadonlyArray<readonly [Partial<DestinationOptions.Flags>, ReadonlyArray<string>]> = [
      [{ endpoint: some }, ["s3"]],
      [{ region: some }, ["s3"]],
      [{ profile: some }, ["s3"]],
      [{ provider: Option.some("r2" as const) }, ["s3"]],
      [{ pathStyle: true }, ["s3"]],
      [{ noPathStyle: true }, ["s3"]],
      [{ storageClass: some }, ["s3"]],
      [{ acl: some }, ["s3"]],
      [{ cacheControl: some }, ["s3"]],
      [{ ifAbsent: true }, ["s3", "http"]],
      [{ metadata: ["a=b"] }, ["s3", "tus"]],
      [{ header: ["X-A: b"] }, ["s3", "tus", "http"]],
      [{ contentRange: true }, ["http"]],
      [{ ca: some }, ["s3", "tus", "http"]],
      [{ noVerifyTls: true }, ["s3", "tus", "http"]]
    ]
    const kinds = { dir: "dir", s3: "s3://bkt", tus: "tus+http://h", http: "http://h", sim: "sim:" }
    for (const [flag, takers] of flags) {
      const taken = Object.entries(kinds).filter(([, address]) => problem(address, flag) === undefined)
      assert.deepStrictEqual(taken.map(([kind]) => kind), takers, Object.keys(flag)[0])
    }
    assert.strictEqual(
      problem("dir", { metadata: ["a=b"] }),
      "--metadata is for s3:// and tus+http(s)://, but the destination is a directory."
    )
  })

  it("may be for other kinds if there are several destinations", () => {
    const all = { ...noFlags, profile: Option.some("p") }
    const local = DestinationOptions.settingsOf({ _tag: "Local", root: "dir" }, all, { forSeveral: true })
    assert.isTrue(Either.isRight(local))
  })

  it("are refused if they contradict each other", () => {
    assert.include(problem("s3://bkt", { pathStyle: true, noPathStyle: true }), "contradict")
    assert.include(problem("s3://bkt", { ca: Option.some("f"), noVerifyTls: true }), "contradict")
  })

  it("read metadata", () => {
    assert.deepInclude(
      Either.getOrThrow(settings("s3://bkt", { metadata: ["project=apollo", "note=a = b", "empty="] })).metadata,
      { project: "apollo", note: "a = b", empty: "" }
    )
    for (const pair of ["nothing", "=x", "a b=c", "a=b\nc"]) {
      assert.include(problem("s3://bkt", { metadata: [pair] }), "--metadata")
    }
  })

  it("accept headers, but no secrets and none that the request sets itself", () => {
    assert.deepStrictEqual(
      HeaderLines.fromFlags(["X-Team: apollo", "x-note:a: b"]),
      Either.right({ "x-team": "apollo", "x-note": "a: b" })
    )
    for (
      const name of [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "X-Api-Key",
        "X-Auth-Token",
        "PRIVATE-TOKEN",
        "X-Secret",
        "x-session-id"
      ]
    ) {
      const refusal = Option.getOrThrow(Either.getLeft(HeaderLines.fromFlags([`${name}: canary`])))
      assert.include(refusal, "SLUICE_HTTP_HEADERS", name)
      assert.notInclude(refusal, "canary")
    }
    const customerKey = ["x-amz-server-side-encryption-customer-key: canary"]
    const refusal = problem("s3://bkt", { header: customerKey })
    assert.include(refusal, "looks like a secret")
    assert.notInclude(refusal, "SLUICE_HTTP_HEADERS")
    assert.notInclude(refusal, "canary")
    for (const name of ["Host", "Content-Length", "Transfer-Encoding", "Upload-Offset"]) {
      assert.include(
        Option.getOrThrow(Either.getLeft(HeaderLines.fromFlags([`${name}: 1`]))),
        "the request sets it itself"
      )
    }
    for (const line of ["canary", ": canary", "a b: canary", "X: canary\r\nY: 1"]) {
      const refusal = Option.getOrThrow(Either.getLeft(HeaderLines.fromFlags([line])))
      assert.notInclude(refusal, "canary", line)
    }
  })
})
