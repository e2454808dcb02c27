/**
 * One tree that is uploaded by processes that are killed, until one may end by itself; and what must hold then.
 */
import * as ChildProcess from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Dice from "../support/Dice.js"
import * as PartsServer from "../support/PartsServer.js"
import * as TemporaryDirectory from "../support/TemporaryDirectory.js"
import { localPoints, points } from "./Protocol.js"
import type { Event, Point, Task } from "./Protocol.js"
import { Sent } from "./Sent.js"
import type { Lost } from "./Sent.js"
import * as Tree from "./Tree.js"

export type Kind = "local" | "http" | "command line"

export interface Options {
  readonly seed: number
  readonly kind: Kind
  /** The program of the process that is killed. */
  readonly child: string
  /** An empty directory for everything. */
  readonly directory: string
  /** Sizes of large files, in bytes. */
  readonly large: { readonly from: number; readonly to: number }
  /** Where a process is killed; the next one may end by itself. Defaults to what the seed says, up to three times. */
  readonly point?: Point | undefined
}

export interface Killed {
  readonly point: Point | "any moment"
  /** Bytes on their way. */
  readonly inFlight: number
  /** Whether something had been stored before. */
  readonly resumable: boolean
}

export interface Outcome {
  readonly seed: number
  readonly kind: Kind
  readonly kills: ReadonlyArray<Killed>
  readonly processes: number
  /** The bytes that were stored when a process was killed, and were sent again. */
  readonly lost: ReadonlyArray<Lost & { readonly torn: boolean }>
  /** Bytes that were on their way at a kill, and were sent again. */
  readonly again: number
  readonly problems: ReadonlyArray<string>
}

/** The journal may be late by so much: what was stored in the last moments before a kill may be sent again. */
export const lateMillis = 100

const KiB = 1024

export const run = async (options: Options): Promise<Outcome> => {
  const { directory, kind, seed } = options
  const dice = Dice.make(seed)
  const tree = Tree.make(path.join(directory, "source"), dice, options.large)
  const journals = path.join(directory, "state")
  const root = path.join(directory, "destination")
  const server = kind === "http"
    ? await PartsServer.start({ directory: path.join(directory, "server") })
    : undefined
  const workers = dice.between(2, 8)
  const task: Omit<Task, "kill"> = {
    source: tree.root,
    destination: server === undefined ? { kind: "local", root } : { kind: "http", url: server.url },
    journal: path.join(journals, "sluice", "journal of a test"),
    log: path.join(directory, "events"),
    partSize: dice.one([256 * KiB, 512 * KiB, 1024 * KiB]),
    workers,
    partConcurrency: dice.between(1, workers)
  }
  const sent = new Sent()
  const kills: Array<Killed> = []
  const lost: Array<Lost & { readonly torn: boolean }> = []
  const problems: Array<string> = []
  let again = 0
  let processes = 0
  let torn = false

  /** Runs a process to its end, and takes in what it has written down. */
  const once = async (kill: Task["kill"] | number): Promise<Ended> => {
    processes += 1
    const from = sizeOf(task.log)
    const ended = await (kind === "command line"
      ? commandLine(tree.root, root, journals, task, kill)
      : start([options.child, JSON.stringify({ ...task, kill: typeof kill === "number" ? undefined : kill })], kill))
    const events = eventsFrom(task.log, from)
    const killedAt = events.find(({ what }) => what === "kill")?.at ?? ended.at
    const figures = sent.process(events, killedAt, kind === "http")
    lost.push(...figures.lost.map((one) => ({ ...one, torn })))
    again += figures.again
    torn = false
    if (ended.hung) problems.push(`process ${processes} did not end within a minute: ${JSON.stringify(kill)}`)
    else if (ended.signal === "SIGKILL") {
      kills.push({
        point: typeof kill === "object" ? kill.point : "any moment",
        inFlight: figures.inFlight,
        resumable: events.some(({ phase, what }) => phase === "end" && (what === "part" || what === "put"))
      })
    } else if (ended.code !== 0) {
      problems.push(`process ${processes} ended with ${ended.code}: ${ended.output.trim().slice(-600)}`)
    }
    return ended
  }

  try {
    const plan = options.point === undefined ? planned(kind, dice) : needs(options.point)
    for (const [i, point] of plan.entries()) {
      const named = point === undefined ? undefined : killAt(point, dice, options.point === undefined ? Infinity : 2)
      // An upload is aborted where its source has changed.
      const aborts = named?.point === "abort begun" || named?.point === "aborted"
      if (i > 0 && (aborts || dice.chance(0.25))) {
        const all = [...tree.files.keys()]
        for (const key of aborts ? all.filter((key) => key.includes("large-")) : [dice.one(all)]) {
          Tree.change(tree, key, dice)
          sent.changed(key)
        }
      }
      const moment = kind === "command line" ? dice.between(500, 2500) : dice.between(0, 500)
      const ended = await once(named ?? moment)
      if (ended.signal === "SIGKILL" && dice.chance(0.3)) torn = tear(task.journal, dice)
    }
    await once(undefined)
    problems.push(...different(tree, server === undefined ? filesOf(root) : objectsOf(server)))
    problems.push(
      ...(server?.sessions() ?? []).map(({ bytes, key }) => `a session of ${key} is left with ${bytes} bytes`)
    )
    problems.push(...journalProblems(journals, kind))
    for (const { ageMillis, bytes, key, torn } of lost) {
      if (torn || ageMillis <= lateMillis) continue
      problems.push(`${bytes} bytes of ${key} were sent again, which had been stored for ${ageMillis} ms`)
    }
  } finally {
    await server?.close()
  }
  return { seed, kind, kills, processes, lost, again, problems }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Where the processes of a scenario are killed; at any moment if absent. */
const planned = (kind: Kind, dice: Dice.Dice): ReadonlyArray<Point | undefined> => {
  const plan = Array.from({ length: dice.between(1, 3) }, () => dice.chance(0.4) ? undefined : choose(kind, dice))
  return kind === "command line" ? plan.map(() => undefined) : plan
}

/** What has to go before a point, that it be reached: a process that leaves something behind. */
const needs = (point: Point): ReadonlyArray<Point> =>
  point === "abort begun" || point === "aborted" || point === "swept" ? ["part stored", point] : [point]

const choose = (kind: Kind, dice: Dice.Dice): Point =>
  dice.one(points.filter((point) => kind === "local" || !localPoints.has(point)))

/** How often a point may be passed before it is meant: so often as it comes in most uploads. */
const most: Partial<Record<Point, number>> = {
  begun: 3,
  created: 3,
  recorded: 3,
  "part half written": 10,
  "part stored": 10,
  "before complete": 3,
  completed: 3,
  "journal write": 20,
  "put half written": 5,
  "put written": 5,
  "put stored": 5
}

const killAt = (point: Point, dice: Dice.Dice, atMost: number): Task["kill"] => ({
  point,
  occurrence: dice.between(1, Math.min(atMost, most[point] ?? 1)),
  fraction: dice.fraction()
})

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  /** Whether it had to be killed, since it did not end. */
  readonly hung: boolean
  /** When this process killed it, or else when it ended. */
  readonly at: number
}

/** Runs a process to its end, or kills it after the given time of uploading, if any. */
const start = (
  args: ReadonlyArray<string>,
  moment: Task["kill"] | number,
  environment?: NodeJS.ProcessEnv
): Promise<Ended> =>
  new Promise((resolve) => {
    const child = ChildProcess.spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment }
    })
    let output = ""
    let killedAt: number | undefined
    let isMeant = false
    const kill = (): void => {
      killedAt = Date.now()
      child.kill("SIGKILL")
    }
    let timer = setTimeout(kill, 60_000)
    const countDown = (): void => {
      if (typeof moment !== "number") return
      clearTimeout(timer)
      isMeant = true
      timer = setTimeout(kill, moment)
    }
    // The command line does not say when it begins.
    if (environment !== undefined) countDown()
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (block: Buffer) => {
        if (output === "") countDown()
        output += block
      })
    }
    // Its output ends before it does, and while it dies it still holds its lock.
    child.once("exit", (code, signal) => {
      clearTimeout(timer)
      const at = killedAt ?? Date.now()
      const hung = killedAt !== undefined && !isMeant
      setImmediate(() => resolve({ code, signal, output, hung, at }))
    })
  })

const commandLine = (
  source: string,
  root: string,
  journals: string,
  { partConcurrency, partSize, workers }: Omit<Task, "kill">,
  moment: Task["kill"] | number
): Promise<Ended> => {
  const program = path.resolve(import.meta.dirname, "../../../cli/dist/bin.js")
  const flags = [
    `--part-size=${partSize / KiB}KiB`,
    `--concurrency=${workers}`,
    `--part-concurrency=${partConcurrency}`
  ]
  return start([program, "upload", ...flags, "--on-source-change=retry", source, root], moment, {
    XDG_STATE_HOME: journals
  })
}

const sizeOf = (file: string): number => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0

const eventsFrom = (file: string, offset: number): ReadonlyArray<Event> =>
  fs.existsSync(file)
    ? fs.readFileSync(file).subarray(offset).toString().split("\n").filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Event)
    : []

/**
 * Cuts the last record of a journal, as a kill in the middle of a write does: but only one that nobody waits for, since
 * what others are waited for has been written when anything follows from it.
 */
const tear = (directory: string, dice: Dice.Dice): boolean => {
  const file = path.join(directory, "journal")
  if (!fs.existsSync(file)) return false
  const text = fs.readFileSync(file, "latin1")
  const last = text.slice(text.lastIndexOf("\n", text.length - 2) + 1)
  if (!/^[0-9a-f]{8} \d+ 1[PFE]/.test(last)) return false
  fs.truncateSync(file, text.length - dice.between(1, last.length))
  return true
}

type Found = ReadonlyMap<string, () => Buffer>

const filesOf = (root: string): Found =>
  new Map(
    fs.existsSync(root)
      ? TemporaryDirectory.filesBelow(root).map((key) => [key, () => fs.readFileSync(path.join(root, key))])
      : []
  )

const objectsOf = (server: PartsServer.PartsServer): Found =>
  new Map(server.objects().map((key) => [key, () => server.object(key)!]))

const different = (tree: Tree.Tree, found: Found): ReadonlyArray<string> => {
  const problems: Array<string> = []
  for (const key of tree.files.keys()) {
    const there = found.get(key)?.()
    if (there === undefined) problems.push(`${key} is missing`)
    else if (!there.equals(fs.readFileSync(path.join(tree.root, key)))) {
      problems.push(`${key} is not equal: it has ${there.length} bytes of ${tree.files.get(key)}`)
    }
  }
  for (const key of found.keys()) if (!tree.files.has(key)) problems.push(`${key} is an orphan`)
  return problems
}

/** After a success, the command's journal is gone, and any other is small and unlocked. */
const journalProblems = (journals: string, kind: Kind): ReadonlyArray<string> => {
  const files = TemporaryDirectory.filesBelow(journals)
  if (kind === "command line") return files.map((file) => `the journal's ${file} is left`)
  const [journal, ...others] = files
  if (journal === undefined || path.basename(journal) !== "journal") return [`the journals are ${files.join(", ")}`]
  const size = sizeOf(path.join(journals, journal))
  return [
    ...others.map((file) => `${file} is left beside the journal`),
    ...(size >= 4096 ? [`the journal has ${size} bytes after success`] : [])
  ]
}
