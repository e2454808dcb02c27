/**
 * Certificates made for a test by `openssl`.
 */
import { Effect } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as TemporaryDirectory from "./TemporaryDirectory.js"

export interface Certificate {
  readonly key: Buffer
  readonly cert: Buffer
}

/** Whether certificates can be made here. */
export const available: boolean = spawnSync("openssl", ["version"], { stdio: "ignore" }).status === 0

const make = (directory: string, name: string, address: string, issuer?: string): Certificate => {
  const file = (ending: string, of = name) => path.join(directory, `${of}.${ending}`)
  const issuedBy = issuer === undefined ? "" : ` -CA ${file("crt", issuer)} -CAkey ${file("key", issuer)}`
  const command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2" +
    ` -addext subjectAltName=IP:${address} -keyout ${file("key")} -out ${file("crt")}${issuedBy}`
  execFileSync("openssl", [...command.split(" "), "-subj", `/CN=sluice test ${name}`], { stdio: "ignore" })
  return { key: fs.readFileSync(file("key")), cert: fs.readFileSync(file("crt")) }
}

/**
 * A self-signed certificate, an authority, and two certificates that it signed: one for 127.0.0.1, one for another
 * host.
 */
export const certificates = Effect.map(TemporaryDirectory.make, (directory) => ({
  selfSigned: make(directory, "self", "127.0.0.1"),
  authority: make(directory, "authority", "10.0.0.1"),
  issued: make(directory, "issued", "127.0.0.1", "authority"),
  elsewhere: make(directory, "elsewhere", "10.0.0.2", "authority")
}))
