/**
 * A lock that one process holds, and that a dead one does not.
 *
 * The file `lock` says who holds it. It appears whole, as a hard link to a file that was written before. A process that
 * finds the lock of a dead one first becomes its only heir, by making `lock-<token of the dead>-heir`, which like all
 * of these can be made but once, and then moves its own file onto `lock`. An heir that dies between the two has an heir
 * of its own. So of any number of processes that find a stale lock, one gets it, and there is no moment without a lock.
 *
 * Whether a holder is dead can be asked of the system where its number means the same process here: on the same machine,
 * and on Linux in the same namespace of process numbers, whatever the host is called. Of others, such as a process in
 * another container, the lock tells: its holder touches it every {@link beatSeconds} seconds. On the same machine, whose
 * clock they share, a silence of {@link silentMillis} is a death; on another, one of {@link staleAfterMillis}.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
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
import { JournalError } from "../../Journal.js"
import { bigint, call } from "../calls/callNode.js"
import { failedTo, unusable } from "./diskNode.js"

/** A lock that this process holds. */
export interface Lock {
  /** Why it holds it no more; a process that slept for long, and whose heir could not ask for it, can lose it. */
  readonly lost: Effect.Effect<JournalError | undefined>
}

/** Takes the lock of a directory until the scope ends; fails with `Locked` at once where somebody has it. */
export const acquire = (directory: string): Effect.Effect<Lock, JournalError, Scope.Scope> =>
  Effect.gen(function*() {
    const { text, token } = yield* describeSelf
    yield* Effect.acquireRelease(take(directory, token, text), () => release(directory, text))
    yield* Effect.ignore(sweep(directory))
    let lost: JournalError | undefined = undefined
    let seenAt = yield* Clock.currentTimeMillis
    const refresh = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const found = yield* look(path.join(directory, "lock"), { text, now })
      if (found?.text === text) {
        seenAt = now
        return
      }
      lost = found === undefined
        ? unusable(`The lock of the journal in ${directory} was removed.`)
        : yield* locked(directory, found)
    })
    yield* Effect.ignore(refresh).pipe(
      Effect.repeat(Schedule.spaced(Duration.seconds(beatSeconds))),
      Effect.interruptible,
      Effect.forkScoped
    )
    return {
      // Who has not been running for a while looks first.
      lost: Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.as(
          lost === undefined && now - seenAt > silentMillis / 2 ? Effect.ignore(refresh) : Effect.void,
          undefined
        )).pipe(Effect.map(() => lost))
    }
  })

/** The process of this machine that holds the lock of a directory; `undefined` where there is none that is running. */
export const holderOf = (directory: string): Effect.Effect<number | undefined> =>
  look(path.join(directory, "lock")).pipe(
    Effect.map((found) =>
      found?.holder === undefined || !isVisible(found.holder) || isStale(found) ? undefined : found.holder.pid
    ),
    Effect.orElseSucceed(() => undefined)
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** How often a holder says that it is there. */
const beatSeconds = 15

/** How long a holder that shares this machine's clock is silent before it counts as dead. */
const silentMillis = 90_000

/** The same of another machine, whose clock may be wrong, or of a version that says less often that it is there. */
const staleAfterMillis = 10 * 60_000

/** The largest lock that can be one, in bytes. */
const largest = 64 * 1024

const latestMillis = 8.64e15

const Holder = Schema.Struct({
  pid: Schema.Int.pipe(Schema.between(1, 2 ** 31 - 1)),
  host: Schema.String,
  /** Tells a process from a later one with the same number, where the system says when processes began. */
  startTime: Schema.optional(Schema.String),
  /** The namespace that the number is of, where the system has such. */
  namespace: Schema.optional(Schema.String),
  /** In milliseconds since the epoch. */
  at: Schema.Number.pipe(Schema.between(0, latestMillis)),
  token: Schema.String.pipe(Schema.pattern(/^[\w-]{1,200}$/))
})

type Holder = typeof Holder.Type

const decodeHolder = Schema.decodeUnknownOption(Schema.parseJson(Holder))

/** What was found in a lock. One that does not say who holds it was torn, where links are not supported. */
interface Look {
  readonly text: string
  readonly holder: Holder | undefined
  readonly token: string
  /** When its holder last said that it is there, in milliseconds since the epoch, and how long ago that is. */
  readonly touchedAt: number
  readonly age: number
}

let counter = 0

const describeSelf = Effect.gen(function*() {
  const random = yield* Random.nextIntBetween(0, 0x7fffffff)
  const token = `${process.pid}-${counter++}-${random.toString(36)}`
  const text = JSON.stringify({
    pid: process.pid,
    host: hostName(),
    startTime: processOf(process.pid)?.startTime,
    namespace: namespace(),
    at: yield* Clock.currentTimeMillis,
    token
  })
  return { token, text }
})

const hostName = (): string => Option.getOrElse(Option.liftThrowable(os.hostname)(), () => "")

const textOf = Option.liftThrowable((file: string) => fs.readFileSync(file, "latin1").trim())

const bootId = (): string | undefined => Option.getOrUndefined(textOf("/proc/sys/kernel/random/boot_id"))

/** Which numbers of processes this one sees. */
const namespace = (): string | undefined =>
  Option.getOrUndefined(Option.liftThrowable(() => fs.readlinkSync("/proc/self/ns/pid"))())

/** The one that a machine begins with: it has the same name on each, and at each start. */
const firstNamespace = "pid:[4026531836]"

const bootOf = ({ startTime }: Holder): string | undefined => startTime?.split("/")[0]

/** Whether a holder's number is that of the same process here. */
const isVisible = (holder: Holder): boolean => {
  const here = namespace()
  if (here === undefined || holder.namespace === undefined) return holder.host === hostName()
  if (here !== holder.namespace) return false
  // A machine that was started anew has no process of before.
  return bootOf(holder) === bootId() || here === firstNamespace && holder.host === hostName()
}

/** What Linux knows of a process; `undefined` where there is no such process, or another system. */
const processOf = (pid: number): { readonly startTime: string; readonly ended: boolean } | undefined =>
  Option.getOrUndefined(
    Option.zipWith(textOf(`/proc/${pid}/stat`), Option.fromNullable(bootId()), (stat, boot) => {
      // The name before it may hold anything, brackets too.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      return { startTime: `${boot}/${fields[19]}`, ended: fields[0] === "Z" || fields[0] === "X" }
    })
  )

// Another user's process may not be asked, but it is there.
const isRunning = (pid: number): boolean =>
  Either.match(Either.try({ try: () => process.kill(pid, 0), catch: (error) => error as NodeJS.ErrnoException }), {
    onLeft: (error) => error.code !== "ESRCH",
    onRight: () => true
  })

/** How long a holder that cannot be asked for is silent before it counts as dead. */
const patienceFor = (holder: Holder | undefined): number =>
  holder?.namespace !== undefined && bootOf(holder) !== undefined && bootOf(holder) === bootId()
    ? silentMillis
    : staleAfterMillis

const isStale = ({ age, holder }: Look): boolean => {
  if (holder === undefined || !isVisible(holder)) return age > patienceFor(holder)
  if (!isRunning(holder.pid)) return true
  const found = processOf(holder.pid)
  return found !== undefined && (found.ended || holder.startTime !== undefined && holder.startTime !== found.startTime)
}

const shown = (millis: number): string =>
  Math.abs(millis) <= latestMillis ? new Date(millis).toISOString() : "a time that cannot be"

const locked = (directory: string, found: Look | undefined): Effect.Effect<JournalError> =>
  Effect.sync(() => {
    const holder = found?.holder
    const who = holder === undefined
      ? "another process"
      : `process ${holder.pid}${isVisible(holder) ? "" : ` on ${holder.host}`} since ${shown(holder.at)}`
    return new JournalError({
      reason: "Locked",
      detail: `The journal in ${directory} is in use by ${who}.${found === undefined ? "" : freeWhen(directory, found)}`
    })
  })

/** When a lock is free whose holder cannot be asked for, and what can be done before. */
const freeWhen = (directory: string, { age, holder, touchedAt }: Look): string => {
  if (holder !== undefined && isVisible(holder)) return ""
  const lock = path.join(directory, "lock")
  return age < -silentMillis
    ? ` Its lock is dated ${
      shown(touchedAt)
    }, in the future, so that nobody can tell whether that process still runs: ` +
      `if it does not, remove ${lock}.`
    : ` Whether that process still runs cannot be seen from here: if it does not, the journal is free at ${
      shown(touchedAt + patienceFor(holder))
    }, or at once when ${lock} is removed.`
}

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
    return yield* locked(directory, yield* look(lock))
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
      if (!isStale(heir)) return yield* locked(directory, heir)
      last = heir
    }
    return yield* locked(directory, found)
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
      const found = yield* Effect.orElseSucceed(look(path.join(directory, name)), () => undefined)
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

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants

// What is missing on Windows has no meaning there. Opening a pipe would wait for its other end.
const carefully = O_RDONLY | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0)

/** Looks at a lock, and gives it a time where it is one's own. */
const look = (
  file: string,
  own?: { readonly text: string; readonly now: number }
): Effect.Effect<Look | undefined, NodeJS.ErrnoException> =>
  Effect.acquireUseRelease(
    call<number>((done) => fs.open(file, carefully, done)),
    (descriptor) =>
      Effect.gen(function*() {
        const stat = yield* call<fs.BigIntStats>((done) => fs.fstat(descriptor, bigint, done))
        if (!stat.isFile()) return yield* Effect.fail(noLock(file))
        const block = Buffer.alloc(Math.min(largest, Math.max(1, Number(stat.size))))
        const read = yield* call<number>((done) => fs.read(descriptor, block, 0, block.length, 0, done))
        const text = block.toString("utf8", 0, read)
        const holder = Option.getOrUndefined(decodeHolder(text))
        if (own?.text === text) {
          const seconds = own.now / 1000
          yield* call((done) => fs.futimes(descriptor, seconds, seconds, (error) => done(error, undefined)))
        }
        const touchedAt = Number(stat.mtimeNs) / 1_000_000
        const age = (yield* Clock.currentTimeMillis) - touchedAt
        return { text, holder, token: holder?.token ?? `torn-${stat.ino}-${stat.mtimeNs}`, touchedAt, age }
      }),
    (descriptor) => Effect.ignore(call((done) => fs.close(descriptor, (error) => done(error ?? null))))
  ).pipe(
    Effect.catchIf((error) => error.code === "ENOENT", () => Effect.succeed(undefined)),
    Effect.mapError((error) => error.code === "ELOOP" || error.code === "EMLINK" ? noLock(file) : error)
  )

const noLock = (file: string): NodeJS.ErrnoException =>
  new Error(`${file} is not a regular file. Remove it when nobody else uses this journal`)
