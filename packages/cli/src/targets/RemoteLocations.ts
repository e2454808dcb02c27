/**
 * The addresses of uploads on a tus server, which gives each upload its own address and never reports it again.
 *
 * A list consists of lines of JSON. The first is `{"_tag":"Locations","version":1}`; each other line names an object:
 * `{"key":"a.jpg","url":"https://tus.example.org/files/24e533e","size":1024}`. A line is added when an upload is
 * complete and before it counts as uploaded, so no address is lost in a crash. If several lines have the same key, the
 * last one applies; an incomplete last line is ignored. Anyone who knows an address may be able to read the object, so
 * a list is readable only by its owner.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as CliError from "../CliError.js"
import * as OutputFile from "../terminal/OutputFile.js"

/** The version that is written, and the only one that is read. */
export const version = 1

/** The location of an object. */
export const Entry = Schema.Struct({ key: Schema.String, url: Schema.String, size: Schema.Number })

export type Entry = typeof Entry.Type

/** Looks up and records addresses for a destination. */
export interface Locations {
  readonly known?: ReadonlyMap<string, string> | undefined
  readonly onStored?: ((entry: Entry) => Effect.Effect<void>) | undefined
}

/** The addresses from this process, in memory. */
export const inMemory = (): Locations => {
  const known = new Map<string, string>()
  return { known, onStored: ({ key, url }) => Effect.sync(() => void known.set(key, url)) }
}

/** Reads a whole list. Addresses never appear in a message. */
export const read = (file: string): Effect.Effect<ReadonlyMap<string, string>, CliError.CliError> =>
  Effect.flatMap(
    Effect.tryPromise({
      try: async () => {
        const known = new Map<string, string>()
        let [rest, count] = ["", 0]
        for await (const text of fs.createReadStream(file, "utf8")) {
          const lines = `${rest}${text}`.split("\n")
          rest = lines.pop() ?? ""
          for (const line of lines) {
            count += 1
            const entry = count === 1 ? undefined : Option.getOrUndefined(parseEntry(line))
            if (count === 1 ? !isHeader(line) : entry === undefined) return count
            if (entry !== undefined) known.set(entry.key, entry.url)
          }
        }
        return count === 0 ? 1 : known
      },
      catch: (cause) => CliError.usage(`--locations: ${JSON.stringify(file)} ${CliError.whyUnreadable(cause)}.`)
    }),
    (found) => typeof found === "number" ? Effect.fail(notOne(file, found)) : Effect.succeed(found)
  )

/** A list that can be appended to. */
export interface Writer {
  readonly add: (entry: Entry) => Effect.Effect<void>
  /** The file descriptor that lines are written to. */
  readonly descriptor: number
  /** Fails if a line could not be written. */
  readonly check: Effect.Effect<void, CliError.CliError>
}

/** Opens a list for appending, and creates it if it does not exist; the scope closes it. */
export const append = Effect.fnUntraced(
  function*(file: string): Effect.fn.Return<Writer, CliError.CliError, Scope.Scope> {
    const cannotWrite = (cause: unknown) => OutputFile.cannotWrite("--locations", file, cause)
    const handle = yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => fs.promises.open(file, carefully, 0o600), catch: cannotWrite }),
      (handle) => Effect.promise(() => handle.close().catch(() => {}))
    )
    const isList = yield* Effect.tryPromise({ try: () => prepare(handle), catch: cannotWrite })
    if (!isList) return yield* notOne(file, 1)
    const turn = yield* Effect.makeSemaphore(1)
    let failure: CliError.CliError | undefined = undefined
    return {
      descriptor: handle.fd,
      add: (entry) =>
        Effect.tryPromise({ try: () => handle.appendFile(lineOf(entry)), catch: cannotWrite }).pipe(
          Effect.catchAll((error) => Effect.sync(() => failure ??= error)),
          Effect.uninterruptible,
          turn.withPermits(1),
          Effect.asVoid
        ),
      check: Effect.suspend(() => failure === undefined ? Effect.void : Effect.fail(failure))
    }
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const Header = Schema.TaggedStruct("Locations", { version: Schema.Literal(version) })

const isHeader = (line: string): boolean => Option.isSome(Schema.decodeOption(Schema.parseJson(Header))(line))

const parseEntry = Schema.decodeOption(Schema.parseJson(Entry))

const lineOf = (line: object): string => `${JSON.stringify(line)}\n`

const { O_APPEND, O_CREAT, O_RDWR } = fs.constants

// Flags that Windows lacks have no meaning there. Opening a pipe would wait for its other end.
const carefully = O_APPEND | O_CREAT | O_RDWR | (fs.constants.O_NOFOLLOW ?? 0) | (fs.constants.O_NONBLOCK ?? 0)

/** Prepares a file for more lines; returns whether it is a list or still empty. */
const prepare = async (handle: fs.promises.FileHandle): Promise<boolean> => {
  const stat = await handle.stat()
  if (!stat.isFile()) return false
  const user = process.getuid?.()
  // The owner of a file can read it later, whatever its permissions are now.
  if (user !== undefined && stat.uid !== user) throw Object.assign(new Error("another's file"), { code: "EPERM" })
  const first = lineOf(Header.make({ version }))
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(first.length), 0, first.length, 0)
  const beginning = buffer.toString("utf8", 0, bytesRead)
  // An incomplete first line is written again.
  if (!first.startsWith(beginning)) return false
  if ((stat.mode & 0o077) !== 0) await handle.chmod(0o600)
  const whole = bytesRead < first.length ? 0 : await endOfLines(handle, stat.size)
  if (whole < stat.size) await handle.truncate(whole)
  if (whole === 0) await handle.appendFile(first)
  return true
}

/** The end of the last complete line of a file. */
const endOfLines = async (handle: fs.promises.FileHandle, size: number): Promise<number> => {
  const block = Buffer.alloc(64 * 1024)
  for (let end = size; end > 0;) {
    const from = Math.max(0, end - block.length)
    const { bytesRead } = await handle.read(block, 0, end - from, from)
    const at = block.subarray(0, bytesRead).lastIndexOf("\n")
    if (at >= 0) return from + at + 1
    end = from
  }
  return 0
}

const notOne = (file: string, line: number) =>
  CliError.usage(
    `--locations: ${
      JSON.stringify(file)
    } is not a list of addresses that sluice upload --locations has written (line ${line}).`
  )
