/**
 * Starts the servers that are installed, once for all tests, and says which are not.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import type { TestProject } from "vitest/node"
import { npmFolder, status } from "../../../../scripts/servers.mjs"

/** The address of a server, or why there is none. */
export type Address = { readonly port: number; readonly directory: string } | { readonly skipped: string }

declare module "vitest" {
  export interface ProvidedContext {
    swift: Address
    nginx: Address
    s3rver: Address
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = net.createServer().once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })

/** The first of several consecutive free ports. */
const freePorts = async (count: number, from: number): Promise<number> => {
  for (let first = from; first < from + 900; first += count) {
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)))
    if (free.every((is) => is)) return first
  }
  throw new Error(`no ${count} free ports from ${from} on`)
}

const build = path.resolve(import.meta.dirname, "../../../../build")

const installed = new Map(status().map(({ name, reason }) => [name, reason]))

export default async ({ provide }: TestProject): Promise<() => Promise<void>> => {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-servers-"))
  const stops: Array<() => void> = []
  const startPort = Number(process.env["SLUICE_SERVERS_PORT"] ?? 25_100)

  /** Starts a server by its script. */
  const script = async (name: string, file: string, ports: number, from: number): Promise<Address> => {
    const reason = installed.get(name)
    if (reason !== undefined) return { skipped: `${name} is ${reason}` }
    const [directory, port] = [path.join(base, name), await freePorts(ports, from)]
    const run = (action: string) =>
      execFileSync("bash", [path.join(import.meta.dirname, file), action, String(port), directory], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
        timeout: 60_000,
        env: { ...process.env, PKG: npmFolder }
      })
    stops.push(() => run("down"))
    try {
      run("up")
      return { port, directory }
    } catch (error) {
      const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error)
      return { skipped: `${name} does not start here: ${said.split("\n").at(-1)}` }
    }
  }

  const servers = {
    swift: await script("Swift", "swift.sh", 5, startPort),
    nginx: await script("nginx", "nginx.sh", 1, startPort + 900),
    s3rver: await script("s3rver", "s3rver.sh", 1, startPort + 950)
  }
  provide("swift", servers.swift)
  provide("nginx", servers.nginx)
  provide("s3rver", servers.s3rver)
  const told = [["Swift", servers.swift], ["nginx", servers.nginx], ["s3rver", servers.s3rver]] as const
  const outcomes = told.map(([name, address]) => ({
    name,
    skipped: "skipped" in address ? address.skipped : undefined
  }))
  for (const { name, skipped } of outcomes) {
    process.stdout.write(`server ${name}: ${skipped === undefined ? "running" : `skipped: ${skipped}`}\n`)
  }
  // For the gate, which says at its end what it ran against. The reference server of tus is an npm package: always
  // there.
  fs.mkdirSync(build, { recursive: true })
  fs.writeFileSync(path.join(build, "servers.json"), JSON.stringify([...outcomes, { name: "@tus/server" }]))
  return async () => {
    for (const stop of stops) stop()
    fs.rmSync(base, { recursive: true, force: true, maxRetries: 5 })
  }
}
