/**
 * The AWS SDK: a new client for each measurement, with one connection for each upload in flight.
 */
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { Upload } from "@aws-sdk/lib-storage"
import * as fs from "node:fs"
import * as http from "node:http"
import * as path from "node:path"
import pLimit from "p-limit"

const client = (url: string, connections: number): S3Client =>
  new S3Client({
    region: "us-east-1",
    endpoint: url,
    forcePathStyle: true,
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
    requestHandler: { httpAgent: new http.Agent({ keepAlive: true, maxSockets: connections }) }
  })

/** Puts every file of a directory with `PutObjectCommand` under p-limit. */
export const putAll = async (directory: string, url: string, atOnce: number): Promise<void> => {
  const s3 = client(url, atOnce)
  const limit = pLimit(atOnce)
  await Promise.all(
    fs.readdirSync(directory).map((name) =>
      limit(async () => {
        const Body = await fs.promises.readFile(path.join(directory, name))
        await s3.send(new PutObjectCommand({ Bucket: "bucket", Key: name, Body }))
      })
    )
  )
  s3.destroy()
}

/** Puts every file of a directory with lib-storage, which streams large files. */
export const uploadAll = async (directory: string, url: string, atOnce: number): Promise<void> => {
  const s3 = client(url, atOnce)
  const limit = pLimit(atOnce)
  await Promise.all(
    fs.readdirSync(directory).map((name) =>
      limit(() => {
        const Body = fs.createReadStream(path.join(directory, name))
        return new Upload({
          client: s3,
          params: { Bucket: "bucket", Key: name, Body },
          partSize: 8 * 1024 * 1024,
          queueSize: 4
        }).done()
      })
    )
  )
  s3.destroy()
}
