/**
 * What a careful programmer would write for S3 without a library: a pool of connections, version 4 signatures with
 * `node:crypto` and a cached key for the day, unsigned payloads, files read at once.
 */
import * as assert from "node:assert"
import { createHash, createHmac } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { crc32 } from "node:zlib"
import { Pool } from "undici"

const accessKeyId = "AKIDEXAMPLE"

const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest()

const keys = new Map<string, Buffer>()

const sign = (
  method: string,
  host: string,
  uri: string,
  query: string,
  more: Readonly<Record<string, string>>
): Record<string, string> => {
  const now = new Date().toISOString().replace(/\.\d{3}|[-:]/g, "")
  const day = now.slice(0, 8)
  const scope = `${day}/us-east-1/s3/aws4_request`
  let key = keys.get(day)
  if (key === undefined) {
    key = ["us-east-1", "s3", "aws4_request"].reduce(hmac, hmac("AWS4secret", day))
    keys.set(day, key)
  }
  const headers: Record<string, string> = {
    host,
    "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
    "x-amz-date": now,
    ...more
  }
  const names = Object.keys(headers).sort()
  const lines = names.map((name) => `${name}:${headers[name]}\n`).join("")
  const canonical = `${method}\n${uri}\n${query}\n${lines}\n${names.join(";")}\nUNSIGNED-PAYLOAD`
  const hash = createHash("sha256").update(canonical).digest("hex")
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${now}\n${scope}\n${hash}`).toString("hex")
  headers["authorization"] = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${
    names.join(";")
  }, Signature=${signature}`
  return headers
}

/** Puts every file of a directory, with bounded concurrency. */
export const putAll = async (directory: string, url: string, atOnce: number): Promise<void> => {
  const pool = new Pool(url, { connections: atOnce })
  const { host } = new URL(url)
  const names = fs.readdirSync(directory)
  let next = 0
  const worker = async () => {
    for (;;) {
      const name = names[next++]
      if (name === undefined) return
      const uri = `/bucket/${name}`
      const body = fs.readFileSync(path.join(directory, name))
      const { body: answer, statusCode } = await pool.request({
        method: "PUT",
        path: uri,
        headers: sign("PUT", host, uri, "", {}),
        body
      })
      assert.strictEqual(statusCode, 200)
      await answer.dump()
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  await pool.close()
}

/** Puts one file in parts, each with its CRC-32 in a header, with bounded concurrency. */
export const putParts = async (file: string, url: string, partSize: number, atOnce: number): Promise<void> => {
  const pool = new Pool(url, { connections: atOnce })
  const { host } = new URL(url)
  const uri = "/bucket/large"
  const ask = async (
    method: "POST" | "PUT",
    query: string,
    body: Uint8Array | string | null,
    more: Record<string, string>
  ) => {
    const headers = sign(method, host, uri, query, more)
    const { body: answer, statusCode } = await pool.request({ method, path: `${uri}?${query}`, headers, body })
    assert.strictEqual(statusCode, 200)
    return answer.text()
  }
  const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(await ask("POST", "uploads=", null, {}))?.[1]
  const { size } = fs.statSync(file)
  const descriptor = fs.openSync(file, "r")
  const parts = Math.ceil(size / partSize)
  const etags: Array<string> = []
  let next = 1
  const worker = async () => {
    const buffer = Buffer.allocUnsafeSlow(partSize)
    for (;;) {
      const number = next++
      if (number > parts) return
      const read = fs.readSync(descriptor, buffer, 0, partSize, (number - 1) * partSize)
      const body = buffer.subarray(0, read)
      const sum = Buffer.alloc(4)
      sum.writeUInt32BE(crc32(body))
      await ask("PUT", `partNumber=${number}&uploadId=${uploadId}`, body, {
        "x-amz-checksum-crc32": sum.toString("base64")
      })
      etags[number - 1] = `<Part><PartNumber>${number}</PartNumber><ETag>"e"</ETag></Part>`
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  await ask("POST", `uploadId=${uploadId}`, `<CompleteMultipartUpload>${etags.join("")}</CompleteMultipartUpload>`, {})
  fs.closeSync(descriptor)
  await pool.close()
}
