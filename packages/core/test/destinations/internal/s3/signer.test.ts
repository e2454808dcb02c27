import { assert, describe, it } from "@effect/vitest"
import { SignatureV4 } from "@smithy/signature-v4"
import { Effect, Redacted } from "effect"
import * as fc from "fast-check"
import { createHash, createHmac } from "node:crypto"
import { encodeKey, encodeQuery } from "../../../../src/destinations/internal/s3/address.js"
import { portable, Signer, unsigned } from "../../../../src/destinations/internal/s3/signer.js"
import type { Signable } from "../../../../src/destinations/internal/s3/signer.js"
import * as Property from "../../../support/Property.js"

const accessKeyId = "AKIAIOSFODNN7EXAMPLE"

const secretAccessKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

const now = Date.UTC(2013, 4, 24)

const signerOf = (token?: string, crypto?: typeof portable) =>
  new Signer({
    accessKeyId,
    secretAccessKey: Redacted.make(secretAccessKey),
    ...(token !== undefined && { sessionToken: Redacted.make(token) })
  }, crypto)

const signatureOf = (authorization: string | undefined) =>
  /SignedHeaders=(.*), Signature=(\w+)$/.exec(authorization ?? "")?.slice(1)

const host = "examplebucket.s3.amazonaws.com"

const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

interface Vector {
  readonly name: string
  readonly request: Partial<Signable> & Pick<Signable, "headers">
  readonly token?: string
  readonly region?: string
  readonly signed: string
  readonly signature: string
}

// The first five are those of the Amazon S3 API Reference, "Signature Calculations for the Authorization Header"; the
// others were signed by botocore.
const vectors: ReadonlyArray<Vector> = [
  {
    name: "AWS: GET with a range",
    request: { method: "GET", path: "/test.txt", headers: { range: "bytes=0-9" }, payload: empty },
    signed: "host;range;x-amz-content-sha256;x-amz-date",
    signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
  },
  {
    name: "AWS: PUT of a key with a dollar sign",
    request: {
      path: `/${encodeKey("test$file.text")}`,
      headers: { date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" },
      payload: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
    },
    signed: "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
    signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
  },
  {
    name: "AWS: GET of the lifecycle",
    request: { method: "GET", path: "/", query: encodeQuery({ lifecycle: "" }), headers: {}, payload: empty },
    signed: "host;x-amz-content-sha256;x-amz-date",
    signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
  },
  {
    name: "AWS: a list",
    request: {
      method: "GET",
      path: "/",
      query: encodeQuery({ prefix: "J", "max-keys": "2" }),
      headers: {},
      payload: empty
    },
    signed: "host;x-amz-content-sha256;x-amz-date",
    signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
  },
  {
    name: "AWS: the seed of a chunked upload",
    request: {
      host: "s3.amazonaws.com",
      path: "/examplebucket/chunkObject.txt",
      headers: {
        "content-encoding": "aws-chunked",
        "content-length": "66824",
        "x-amz-decoded-content-length": "66560",
        "x-amz-storage-class": "REDUCED_REDUNDANCY"
      },
      payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    },
    signed: "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;" +
      "x-amz-storage-class",
    signature: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
  },
  {
    name: "botocore: an odd key",
    request: { path: `/${encodeKey("a b+c%25/ü/😀/'()*!~.txt")}`, headers: { "content-type": "text/plain" } },
    signed: "content-type;host;x-amz-content-sha256;x-amz-date",
    signature: "1635cfe3baaeb34fd627a7d6770fbf58819dd5ab14eb155c13f81b005f25740f"
  },
  {
    name: "botocore: a session token",
    request: { path: "/photo.jpg", headers: { "content-type": "image/jpeg", "x-amz-meta-mtime": "1.5" } },
    token: "FwoGZXIvYXdzEXAMPLETOKEN==",
    region: "eu-central-1",
    signed: "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-mtime;x-amz-security-token",
    signature: "04fbbd5beaf12750a72788e4f8983a854331c7140bf4160c0aeeb75e9fc942cd"
  },
  {
    name: "botocore: a part",
    request: {
      path: "/big",
      query: encodeQuery({ uploadId: "up load/1", partNumber: "3" }),
      headers: {}
    },
    token: "FwoGZXIvYXdzEXAMPLETOKEN==",
    region: "us-west-2",
    signed: "host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
    signature: "34d9af1e0b3e5243252a4603bf7c95ce2bceea2ecebcdb253a16ef52dc589666"
  },
  {
    name: "botocore: a page of a list",
    request: {
      method: "GET",
      path: "/",
      query: encodeQuery({ "list-type": "2", "encoding-type": "url", prefix: "x/y", "continuation-token": "a+b==" }),
      headers: {}
    },
    signed: "host;x-amz-content-sha256;x-amz-date",
    signature: "4f8fde8067ae284bc81f63350cf9a2d2c60d170f14386a466f703a6b7f78ed13"
  }
]

describe("a signature of version 4", () => {
  for (const { name, region = "us-east-1", request, signature, signed, token } of vectors) {
    it(`is the published one: ${name}`, () => {
      const signable = { method: "PUT", host, path: "/", query: "", payload: unsigned, ...request }
      for (const signer of [signerOf(token), signerOf(token, portable)]) {
        const { authorization } = signer.sign(signable, region, now)
        assert.deepStrictEqual(signatureOf(authorization), [signed, signature])
      }
    })
  }

  it("is for the requested day and region, whatever was signed before", () => {
    const signer = signerOf()
    const request: Signable = { method: "PUT", host, path: "/k", query: "", headers: {}, payload: unsigned }
    const asked = [["us-east-1", now], ["eu-central-1", now], ["us-east-1", now + 86_400_000], [
      "us-east-1",
      now
    ]] as const
    for (const [region, at] of asked) {
      assert.deepStrictEqual(signer.sign(request, region, at), signerOf().sign(request, region, at))
    }
  })

  it.effect("equals that of @smithy/signature-v4, for any request", () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/).map((tail) => `x-amz-meta-${tail}`)
    const value = fc.stringMatching(/^[\x20-\x7e]{0,20}$/)
    const requests = fc.record({
      method: fc.constantFrom("PUT", "GET", "POST", "DELETE", "HEAD"),
      key: fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }),
      query: fc.dictionary(
        fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }),
        fc.string({ unit: "grapheme" })
      ),
      headers: fc.dictionary(name, value),
      region: fc.constantFrom("us-east-1", "eu-central-1", "auto"),
      token: fc.option(fc.stringMatching(/^[A-Za-z0-9+/=]{1,40}$/), { nil: undefined }),
      at: fc.integer({ min: 0, max: 4_000_000_000_000 })
    })
    return Property.check(requests, ({ at, headers, key, method, query, region, token }) =>
      Effect.promise(async () => {
        const path = `/${encodeKey(key)}`
        const all = { ...headers, "cache-control": "max-age=1" }
        const payload = unsigned
        const ours = signerOf(token).sign(
          { method, host, path, query: encodeQuery(query), headers: all, payload },
          region,
          at
        )
        const theirs = await smithy(token, region).sign(
          {
            method,
            protocol: "https:",
            hostname: host,
            path,
            query,
            headers: { ...all, host, "x-amz-content-sha256": payload }
          },
          { signingDate: new Date(at) }
        )
        assert.deepStrictEqual(ours, theirs.headers)
      }), 300)
  })
})

type Bytes = string | ArrayBuffer | ArrayBufferView | undefined

const bytesOf = (given: NonNullable<Bytes>): Uint8Array =>
  typeof given === "string"
    ? new TextEncoder().encode(given)
    : given instanceof ArrayBuffer
    ? new Uint8Array(given)
    : new Uint8Array(given.buffer, given.byteOffset, given.byteLength)

class Sha256 {
  private readonly hash

  constructor(secret?: Bytes) {
    this.hash = secret === undefined ? createHash("sha256") : createHmac("sha256", bytesOf(secret))
  }

  update(given: NonNullable<Bytes>): void {
    this.hash.update(bytesOf(given))
  }

  async digest(): Promise<Uint8Array> {
    return this.hash.digest()
  }

  reset(): void {}
}

const smithy = (token: string | undefined, region: string) =>
  new SignatureV4({
    credentials: { accessKeyId, secretAccessKey, ...(token !== undefined && { sessionToken: token }) },
    region,
    service: "s3",
    sha256: Sha256,
    uriEscapePath: false,
    applyChecksum: false
  })
