/**
 * A lock that one process holds, and that a dead one does not.
 *
 * The file `lock` says who holds it. It appears whole, as a hard link to a file that was written before. A process that
 * finds the lock of a dead one first becomes its only heir, by making `lock-<token of the dead>-heir`, which like all
 * of these can be made but once, and then moves its own file onto `lock`. An heir that dies between the two has an heir
 * of its own. So of any number of processes that find a stale lock, one gets it, and there is no moment without a lock.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { JournalError } from "../Journal.js"
import { call } from "./callNode.js"
import { failedTo, unusable } from "./journalDiskNode.js"

/** A lock that this process holds. */
export interface Lock {
  /** Why it holds it no more; a process that slept for long on another machine than its heir can lose it. */
  readonly lost: () => JournalError | undefined
}

/** Takes the lock of a directory until the scope ends; fails with `Locked` at once where somebody has it. */
export const acquire = (directory: string): Effect.Effect<Lock, JournalError, Scope.Scope> =>
  Effect.gen(function*() {
    const { text, token } = yield* describeSelf
    yield* Effect.acquireRelease(take(directory, token, text), () => release(directory, text))
    yield* Effect.ignore(sweep(directory))
    let lost: JournalError | undefined = undefined
    const refresh = Effect.gen(function*() {
      const found = yield* look(path.join(directory, "lock"))
      if (found?.text !== text) {
        lost = found === undefined
          ? unusable(`The lock of the journal in ${directory} was removed.`)
          : locked(directory, found)
        return
      }
      const now = (yield* Clock.currentTimeMillis) / 1000
      yield* call((done) => fs.utimes(path.join(directory, "lock"), now, now, (error) => done(error, undefined)))
    })
    yield* Effect.ignore(refresh).pipe(
      Effect.repeat(Schedule.spaced("1 minute")),
      Effect.interruptible,
      Effect.forkScoped
    )
    return { lost: () => lost }
  })

/** The process of this machine that holds the lock of a directory; `undefined` where there is none that is running. */
export const holderOf = (directory: string): Effect.Effect<number | undefined> =>
  look(path.join(directory, "lock")).pipe(
    Effect.map((found) =>
      found?.holder === undefined || found.holder.host !== os.hostname() || isStale(found)
        ? undefined
        : found.holder.pid
    ),
    Effect.orElseSucceed(() => undefined)
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How old the lock of another machine has to be: its holder says every minute that it is there. */
const staleAfterMillis = 10 * 60_000

const Holder = Schema.Struct({
  pid: Schema.Int,
  host: Schema.String,
  /** Tells a process from a later one with the same number, where the system says when processes began. */
  startTime: Schema.optional(Schema.String),
  /** In milliseconds since the epoch. */
  at: Schema.Number,
  token: Schema.String.pipe(Schema.pattern(/^[\w-]+$/))
})

const decodeHolder = Schema.decodeUnknownOption(Schema.parseJson(Holder))

/** What was found in a lock. One that does not say who holds it was torn, where links are not supported. */
interface Look {
  readonly text: string
  readonly holder: typeof Holder.Type | undefined
  readonly token: string
  readonly age: number
}

let counter = 0

const describeSelf = Effect.gen(function*() {
  const random = yield* Random.nextIntBetween(0, 0x7fffffff)
  const token = `${process.pid}-${counter++}-${random.toString(36)}`
  const text = JSON.stringify({
    pid: process.pid,
    host: os.hostname(),
    startTime: processOf(process.pid)?.startTime,
    at: yield* Clock.currentTimeMillis,
    token
  })
  return { token, text }
})

/** What Linux knows of a process; `undefined` where there is no such process, or another system. */
const processOf = (pid: number): { readonly startTime: string; readonly ended: boolean } | undefined =>
  Option.getOrUndefined(
    Option.liftThrowable(() => {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1")
      // The name before it may hold anything, brackets too.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()
      return { startTime: `${boot}/${fields[19]}`, ended: fields[0] === "Z" || fields[0] === "X" }
    })()
  )

// Another user's process may not be asked, but it is there.
const isRunning = (pid: number): boolean =>
  Either.match(Either.try({ try: () => process.kill(pid, 0), catch: (error) => error as NodeJS.ErrnoException }), {
    onLeft: (error) => error.code !== "ESRCH",
    onRight: () => true
  })

const isStale = ({ age, holder }: Look): boolean => {
  if (holder === undefined || holder.host !== os.hostname()) return age > staleAfterMillis
  if (!isRunning(holder.pid)) return true
  const found = processOf(holder.pid)
  return found !== undefined && (found.ended || holder.startTime !== undefined && holder.startTime !== found.startTime)
}

const locked = (directory: string, found: Look | undefined): JournalError =>
  new JournalError({
    reason: "Locked",
    detail: found?.holder === undefined
      ? `The journal in ${directory} is in use by another process.`
      : `The journal in ${directory} is in use by process ${found.holder.pid}${
        found.holder.host === os.hostname() ? "" : ` on ${found.holder.host}`
      } since ${new Date(found.holder.at).toISOString()}.`
  })

const take = (directory: string, token: string, text: string): Effect.Effect<void, JournalError> => {
  const lock = path.join(directory, "lock")
  const own = path.join(directory, `lock-${token}`)
  return Effect.gen(function*() {
    yield* write(own, text)
    for (let attempt = 0; attempt < 20; attempt++) {
      if (yield* appear(own, lock, text)) return undefined
      const found = yield* look(lock)
      if (found === undefined) continue
      const refused = yield* inherit(directory, { found, own, text })
      if (refused !== "again") return refused
    }
    return locked(directory, yield* look(lock))
  }).pipe(
    Effect.ensuring(Effect.ignore(unlink(own))),
    Effect.mapError(failedTo(directory, "be locked")),
    Effect.flatMap((refused) => refused === undefined ? Effect.void : Effect.fail(refused)),
    Effect.uninterruptible
  )
}

interface Attempt {
  readonly found: Look
  readonly own: string
  readonly text: string
}

/** Tries to become the last heir of a lock: nothing to say if it did, why not, or that the lock has changed hands. */
const inherit = (directory: string, { found, own, text }: Attempt) =>
  Effect.gen(function*() {
    const lock = path.join(directory, "lock")
    const claims: Array<string> = []
    for (let last = found; isStale(last);) {
      const claim = path.join(directory, `lock-${last.token}-heir`)
      claims.push(claim)
      if (yield* appear(own, claim, text)) {
        const now = yield* look(lock)
        // Claims are removed after the lock has changed hands: one that came too late is seen here.
        if (now?.text !== found.text || now.token !== found.token) {
          yield* Effect.ignore(unlink(claim))
          return "again" as const
        }
        yield* call((done) => fs.rename(own, lock, (error) => done(error, undefined)))
        yield* Effect.forEach(claims, (claim) => Effect.ignore(unlink(claim)), { discard: true })
        return undefined
      }
      const heir = yield* look(claim)
      if (heir === undefined) return "again" as const
      if (!isStale(heir)) return locked(directory, heir)
      last = heir
    }
    return locked(directory, found)
  })

const release = (directory: string, text: string): Effect.Effect<void> => {
  const lock = path.join(directory, "lock")
  return Effect.ignore(Effect.flatMap(look(lock), (found) => found?.text === text ? unlink(lock) : Effect.void))
}

/** Removes what processes have left that died while they tried; only the heirs of the lock itself count. */
const sweep = (directory: string) =>
  Effect.gen(function*() {
    const names = yield* call<Array<string>>((done) => fs.readdir(directory, done))
    for (const name of names) {
      if (!name.startsWith("lock-")) continue
      const found = yield* look(path.join(directory, name))
      if (found !== undefined && isStale(found)) yield* unlink(path.join(directory, name))
    }
  })

/** Makes a name appear with all of its content, unless it is there. */
const appear = (own: string, name: string, text: string): Effect.Effect<boolean, NodeJS.ErrnoException> =>
  call((done) => fs.link(own, name, (error) => done(error, undefined))).pipe(
    Effect.catchIf((error) => linkless.has(error.code ?? ""), () => write(name, text)),
    Effect.as(true),
    Effect.catchIf((error) => error.code === "EEXIST", () => Effect.succeed(false))
  )

/** How file systems say that they have no links. */
const linkless = new Set(["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK", "UNKNOWN"])

const write = (file: string, text: string): Effect.Effect<void, NodeJS.ErrnoException> =>
  call((done) => fs.writeFile(file, text, { flag: "wx", mode: 0o600 }, (error) => done(error, undefined)))

const unlink = (file: string): Effect.Effect<void, NodeJS.ErrnoException> =>
  call((done) => fs.unlink(file, (error) => done(error, undefined)))

const look = (file: string): Effect.Effect<Look | undefined, NodeJS.ErrnoException> =>
  Effect.gen(function*() {
    const text = yield* call<string>((done) => fs.readFile(file, "utf8", done))
    const stat = yield* call<fs.Stats>((done) => fs.lstat(file, done))
    const holder = Option.getOrUndefined(decodeHolder(text))
    const age = (yield* Clock.currentTimeMillis) - stat.mtimeMs
    return { text, holder, token: holder?.token ?? `torn-${stat.ino}-${stat.mtimeMs}`, age }
  }).pipe(Effect.catchIf((error) => error.code === "ENOENT", () => Effect.succeed(undefined)))
