/**
 * The reference server of tus for Node, `@tus/server` over `@tus/file-store`, in another process on 127.0.0.1; and what
 * is in its directory.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as readline from "node:readline"

// 2.4.5 dies of an uncaught ERR_INVALID_STATE after some PATCHes that are answered 409 before their body was read.
const script = `
import { FileStore } from "@tus/file-store"
import { Server } from "@tus/server"
import * as fs from "node:fs"
import * as path from "node:path"
import * as readline from "node:readline"
process.on("uncaughtException", () => {})
const running = new Map()
const serve = (id, { directory, expires, maxSize, port = 0 }) => {
  const datastore = new FileStore({ directory, expirationPeriodInMilliseconds: expires })
  // File times are too coarse to show which of two files ended last.
  const onUploadFinish = async (_, { id }) => {
    fs.appendFileSync(path.join(directory, "finished.json"), id + "\\n")
    return {}
  }
  const server = new Server({ path: "/files", datastore, maxSize, respectForwardedHeaders: false, onUploadFinish })
  const listening = server.listen({ host: "127.0.0.1", port }, () => console.log(listening.address().port))
  running.set(id, listening)
}
const close = (id) => {
  running.get(id).close(() => console.log("closed"))
  running.get(id).closeAllConnections()
  running.delete(id)
}
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { id, options } = JSON.parse(line)
  if (options === undefined) close(id)
  else serve(id, options)
}
process.exit()
`

export interface Options {
  readonly directory: string
  /** Defaults to one that is free. */
  readonly port?: number | undefined
  readonly maxSize?: number | undefined
  /** How long uploads are kept that are not whole, in milliseconds. Defaults to for ever. */
  readonly expires?: number | undefined
}

export interface Running {
  /** Where uploads are created. */
  readonly url: string
  readonly port: number
}

/** A server process that obeys commands, and answers each with a line, in order. */
class Host {
  private readonly child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    cwd: path.resolve(import.meta.dirname, "../.."),
    stdio: ["pipe", "pipe", "inherit"]
  })
  private readonly lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]()
  private readonly ended = new Promise<void>((closed) => this.child.once("close", () => closed()))
  private orders: Promise<unknown> = Promise.resolve()
  private served = 0

  private order(id: number, options: Options | undefined): Promise<string> {
    const answer = this.orders.then(async () => {
      this.child.stdin.write(`${JSON.stringify({ id, options })}\n`)
      const { done, value } = await this.lines.next()
      if (done === true) throw new Error("The server has ended.")
      return value
    })
    this.orders = answer
    return answer
  }

  serve(options: Options): Effect.Effect<Running, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.promise(async () => {
        const id = this.served++
        const port = Number(await this.order(id, options))
        return { id, running: { url: `http://127.0.0.1:${port}/files/`, port } }
      }),
      ({ id }) => this.child.killed ? Effect.void : Effect.promise(() => this.order(id, undefined))
    ).pipe(Effect.map(({ running }) => running))
  }

  /** Ends it at once, as a crash would. */
  readonly kill = Effect.promise(() => {
    this.child.kill("SIGKILL")
    return this.ended
  })
}

let host: Host | undefined

/** Serves until the scope ends, from a process that all tests of a file share. */
export const serve = (options: Options): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.suspend(() => (host ??= new Host()).serve(options))

/** Serves from a process of its own, until the scope ends or it is killed. */
export const serveAlone = (
  options: Options
): Effect.Effect<Running & { readonly kill: Effect.Effect<void> }, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(() => new Host()), ({ kill }) => kill).pipe(
    Effect.flatMap((host) => Effect.map(host.serve(options), (running) => ({ ...running, kill: host.kill })))
  )

export interface Upload {
  readonly id: string
  readonly key: string
  readonly metadata: Readonly<Record<string, string>>
  readonly isWhole: boolean
  /** How many bytes there are. */
  readonly size: number
  readonly file: string
}

/** The ids of whole uploads, in the order in which they ended. */
const finished = (directory: string): ReadonlyArray<string> => {
  const file = path.join(directory, "finished.json")
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n").slice(0, -1) : []
}

/** All uploads in a directory, in the order in which they ended; first those that are not whole. */
export const uploads = (directory: string): ReadonlyArray<Upload> => {
  const order = new Map(finished(directory).map((id, i) => [id, i]))
  const placeOf = ({ id }: Upload) => order.get(id) ?? -1
  return fs.readdirSync(directory).filter((name) => !name.endsWith(".json")).flatMap((id) => {
    const file = path.join(directory, id)
    const told = fs.readFileSync(`${file}.json`, { encoding: "utf8", flag: "a+" })
    const { metadata = {}, size } = JSON.parse(told === "" ? "{}" : told) as {
      readonly metadata?: Record<string, string>
      readonly size?: number
    }
    const { size: there } = fs.statSync(file)
    return [{
      id,
      key: metadata["filename"] ?? id,
      metadata,
      isWhole: there === size,
      size: there,
      file
    }]
  }).sort((a, b) => placeOf(a) - placeOf(b))
}

const keys = new Map<string, string>()

/** The key of an upload, which never changes. */
const keyOf = (file: string): string | undefined => {
  if (!keys.has(file)) {
    const { metadata } = JSON.parse(fs.readFileSync(`${file}.json`, "utf8")) as Partial<Upload>
    keys.set(file, metadata?.["filename"] ?? path.basename(file))
  }
  return keys.get(file)
}

/** The bytes of the last whole upload of a key. */
export const read = (directory: string, key: string): Uint8Array | undefined => {
  const last = finished(directory)
    .map((id) => path.join(directory, id))
    .findLast((file) => fs.existsSync(file) && keyOf(file) === key)
  return last === undefined ? undefined : fs.readFileSync(last)
}

/** The keys of whole uploads, each once, and what else there is. */
export const list = (directory: string): ReadonlyArray<string> => [
  ...new Set(uploads(directory).map(({ id, isWhole, key }) => isWhole ? key : `incomplete upload ${id} of ${key}`))
]

/** Makes an upload an hour older than it is. */
export const age = ({ file }: Upload): void => {
  const told = JSON.parse(fs.readFileSync(`${file}.json`, "utf8")) as { readonly creation_date: string }
  const before = new Date(Date.parse(told.creation_date) - 3_600_000).toISOString()
  fs.writeFileSync(`${file}.json`, JSON.stringify({ ...told, creation_date: before }))
}
