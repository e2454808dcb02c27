/**
 * A lock that one process holds, and that a dead process loses.
 *
 * The file `lock` says who holds it. It appears whole, as a hard link to an already written file. A process that finds
 * the lock of a dead process first becomes its only heir, by creating `lock-<token of the dead>-heir`, which like all
 * of these files can be created only once, and then moves its own file onto `lock`. An heir that dies in between has an
 * heir of its own. So if several processes find a stale lock, exactly one of them gets it, and there is no moment
 * without a lock.
 *
 * The system knows whether a holder is dead if its process number means the same process here: on the same machine, and
 * on Linux in the same PID namespace, whatever the host is called. For other holders, such as a process in another
 * container, the lock file decides: its holder touches it every {@link beatSeconds} seconds. On the same machine, whose
 * clock they share, a silence of {@link silentMillis} counts as death; on another, one of {@link staleAfterMillis}.
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
  /** Why the lock is lost. A process that slept for long can lose it to an heir that could not check on it. */
  readonly lost: Effect.Effect<JournalError | undefined>
}

/** Takes the lock of a directory until the scope ends; fails with `Locked` at once if it is held. */
export const acquire = Effect.fnUntraced(
  function*(directory: string): Effect.fn.Return<Lock, JournalError, Scope.Scope> {
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
      // A process that has not run for a while checks the lock first.
      lost: Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.as(
          lost === undefined && now - seenAt > silentMillis / 2 ? Effect.ignore(refresh) : Effect.void,
          undefined
        )).pipe(Effect.map(() => lost))
    }
  }
)

/** The running process on this machine that holds the lock of a directory; `undefined` if there is none. */
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

/** How often a holder touches its lock. */
const beatSeconds = 15

/** How long a holder that shares this machine's clock may be silent before it counts as dead. */
const silentMillis = 90_000

/** The same for another machine, whose clock may be wrong, or for a version that touches its lock less often. */
const staleAfterMillis = 10 * 60_000

/** The largest valid lock file, in bytes. */
const largest = 64 * 1024

const latestMillis = 8.64e15

const Holder = Schema.Struct({
  pid: Schema.Int.pipe(Schema.between(1, 2 ** 31 - 1)),
  host: Schema.String,
  /** Distinguishes a process from a later one with the same number, if the system reports start times. */
  startTime: Schema.optional(Schema.String),
  /** The PID namespace of the number, if the system has namespaces. */
  namespace: Schema.optional(Schema.String),
  /** In milliseconds since the epoch. */
  at: Schema.Number.pipe(Schema.between(0, latestMillis)),
  token: Schema.String.pipe(Schema.pattern(/^[\w-]{1,200}$/))
})

type Holder = typeof Holder.Type

const decodeHolder = Schema.decodeUnknownOption(Schema.parseJson(Holder))

/** The content of a lock. A lock without a holder was torn, on a file system without hard links. */
interface Look {
  readonly text: string
  readonly holder: Holder | undefined
  readonly token: string
  /** When its holder last touched it, in milliseconds since the epoch, and how long ago that was. */
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

/** The PID namespace of this process. */
const namespace = (): string | undefined =>
  Option.getOrUndefined(Option.liftThrowable(() => fs.readlinkSync("/proc/self/ns/pid"))())

/** The initial namespace: it has the same name on every machine and after every boot. */
const firstNamespace = "pid:[4026531836]"

const bootOf = ({ startTime }: Holder): string | undefined => startTime?.split("/")[0]

/** Whether a holder's number means the same process here. */
const isVisible = (holder: Holder): boolean => {
  const here = namespace()
  if (here === undefined || holder.namespace === undefined) return holder.host === hostName()
  if (here !== holder.namespace) return false
  // A rebooted machine has none of its earlier processes.
  return bootOf(holder) === bootId() || here === firstNamespace && holder.host === hostName()
}

/** What Linux knows about a process; `undefined` if there is no such process, or on another system. */
const processOf = (pid: number): { readonly startTime: string; readonly ended: boolean } | undefined =>
  Option.getOrUndefined(
    Option.zipWith(textOf(`/proc/${pid}/stat`), Option.fromNullable(bootId()), (stat, boot) => {
      // The name before it may contain anything, including brackets.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      return { startTime: `${boot}/${fields[19]}`, ended: fields[0] === "Z" || fields[0] === "X" }
    })
  )

// Another user's process cannot be signalled, but it exists.
const isRunning = (pid: number): boolean =>
  Either.match(Either.try({ try: () => process.kill(pid, 0), catch: (error) => error as NodeJS.ErrnoException }), {
    onLeft: (error) => error.code !== "ESRCH",
    onRight: () => true
  })

/** How long a holder that cannot be checked may be silent before it counts as dead. */
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
  Math.abs(millis) <= latestMillis ? new Date(millis).toISOString() : "an impossible time"

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

/** When a lock becomes free whose holder cannot be checked, and what can be done before that. */
const freeWhen = (directory: string, { age, holder, touchedAt }: Look): string => {
  if (holder !== undefined && isVisible(holder)) return ""
  const lock = path.join(directory, "lock")
  return age < -silentMillis
    ? ` Its lock is dated ${shown(touchedAt)}, in the future, so it is unknown whether that process still runs: ` +
      `if it does not, remove ${lock}.`
    : ` It cannot be seen from here whether that process still runs: if it does not, the journal is free at ${
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

/**
 * Tries to become the last heir of a lock: returns nothing on success, else why not or that the lock has changed hands.
 */
const inherit = Effect.fnUntraced(function*(directory: string, { found, own, text }: Attempt) {
  const lock = path.join(directory, "lock")
  const claims: Array<string> = []
  for (let last = found; isStale(last);) {
    const claim = path.join(directory, `lock-${last.token}-heir`)
    claims.push(claim)
    if (yield* appear(own, claim, text)) {
      const now = yield* look(lock)
      // Claims are removed after the lock has changed hands: a claim that came too late is detected here.
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

/** Removes the leftovers of processes that died while trying; only the heirs of the lock itself count. */
const sweep = Effect.fnUntraced(function*(directory: string) {
  const names = yield* call<Array<string>>((done) => fs.readdir(directory, done))
  for (const name of names) {
    if (!name.startsWith("lock-")) continue
    const found = yield* Effect.orElseSucceed(look(path.join(directory, name)), () => undefined)
    if (found !== undefined && isStale(found)) yield* unlink(path.join(directory, name))
  }
})

/** Creates a file with all of its content atomically, unless it exists. */
const appear = (own: string, name: string, text: string): Effect.Effect<boolean, NodeJS.ErrnoException> =>
  call((done) => fs.link(own, name, (error) => done(error, undefined))).pipe(
    Effect.catchIf((error) => linkless.has(error.code ?? ""), () => write(name, text)),
    Effect.as(true),
    Effect.catchIf((error) => error.code === "EEXIST", () => Effect.succeed(false))
  )

/** The errors with which file systems report that they do not support hard links. */
const linkless = new Set(["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK", "UNKNOWN"])

const write = (file: string, text: string): Effect.Effect<void, NodeJS.ErrnoException> =>
  call((done) => fs.writeFile(file, text, { flag: "wx", mode: 0o600 }, (error) => done(error, undefined)))

const unlink = (file: string): Effect.Effect<void, NodeJS.ErrnoException> =>
  call((done) => fs.unlink(file, (error) => done(error, undefined)))

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants

// Flags that are missing on Windows have no meaning there. Opening a pipe would wait for its other end.
const carefully = O_RDONLY | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0)

/** Reads a lock, and touches it if it is this process's own. */
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
  new Error(`${file} is not a regular file. Remove it if nobody else uses this journal`)
