/**
 * The reference server of tus for Node, `@tus/server` over `@tus/file-store`, in a process of its own on 127.0.0.1; and
 * what is in its directory.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

// 2.4.5 dies of an uncaught ERR_INVALID_STATE after some PATCHes that are answered 409 before their body was read.
const script = `
import { FileStore } from "@tus/file-store"
import { Server } from "@tus/server"
import * as fs from "node:fs"
import * as path from "node:path"
process.on("uncaughtException", () => {})
const { directory, expires, maxSize, port } = JSON.parse(process.argv[1])
const datastore = new FileStore({ directory, expirationPeriodInMilliseconds: expires })
// Times of files are too coarse to tell which of two ended last.
const onUploadFinish = async (_, { id }) => {
  fs.appendFileSync(path.join(directory, "finished.json"), id + "\\n")
  return {}
}
const server = new Server({ path: "/files", datastore, maxSize, respectForwardedHeaders: false, onUploadFinish })
const running = server.listen({ host: "127.0.0.1", port }, () => console.log(running.address().port))
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
  /** Ends the process at once, as a crash would. */
  readonly kill: Effect.Effect<void>
}

/** Serves until the scope ends, or until it is killed. */
export const serve = (options: Options): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() =>
      new Promise<Running>((resolve, reject) => {
        const child = spawn(
          process.execPath,
          ["--input-type=module", "-e", script, JSON.stringify({ port: 0, ...options })],
          { cwd: path.resolve(import.meta.dirname, ".."), stdio: ["ignore", "pipe", "inherit"] }
        )
        const ended = new Promise<void>((closed) => child.once("close", () => closed()))
        child.once("close", () => reject(new Error("The server has ended.")))
        child.stdout.once("data", (line: Buffer) => {
          const port = Number(line)
          const kill = Effect.promise(() => {
            child.kill("SIGKILL")
            return ended
          })
          resolve({ url: `http://127.0.0.1:${port}/files/`, port, kill })
        })
      })
    ),
    ({ kill }) => kill
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
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n") : []
}

/** All uploads in a directory, in the order in which they ended; first those that are not whole. */
export const uploads = (directory: string): ReadonlyArray<Upload> => {
  const order = finished(directory)
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
  }).sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id))
}

/** The bytes of the last whole upload of a key. */
export const read = (directory: string, key: string): Uint8Array | undefined => {
  const last = uploads(directory).filter((upload) => upload.key === key && upload.isWhole).at(-1)
  return last === undefined ? undefined : fs.readFileSync(last.file)
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
