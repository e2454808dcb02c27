/**
 * Whether small files of a device are read at once, while everything else waits: five calls through the thread pool cost
 * several times what the file itself does, and a file in the page cache is there within microseconds.
 *
 * Only where the device is known to be of this machine, so that no dead server can block the process, and as long as it
 * is quick: after a slow read the next ones are done in the thread pool, longer each time. What takes long on a busy
 * machine without a disk being read has waited for its turn on the CPU, as it would have in the thread pool.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"

/** What is larger is not read at once, in bytes: all else would wait for longer than some milliseconds. */
const largest = 16 * 1024 * 1024

/** After how many bytes is looked whether it still goes quickly. */
export const blockSize = 512 * 1024

/** What takes longer was not in the page cache or on a fast disk, if a disk was read: in nanoseconds. */
const slow = 1_000_000n

/** What takes longer is slow, whatever the reason: in nanoseconds. */
const tooSlow = 100_000_000n

/** How many reads are left to the thread pool after a slow one: at first, and at most. */
const patience = { least: 16, most: 4096 }

/** Reads by threads of its own, so that the kernel does not count them as the process's. */
const zfs = 0x2fc1_2fc1

/** File systems of this machine, by the numbers that Linux gives them (statfs(2)). */
const local: ReadonlySet<number> = new Set([
  0x0102_1994, // tmpfs
  0x794c_7630, // overlay
  0x8584_58f6, // ramfs
  0x9123_683e, // btrfs
  zfs,
  0x5846_5342, // xfs
  0xef53, // ext2, ext3, ext4
  0xf2f5_2010 // f2fs
])

/** File systems of the kernel, whose files are made when they are read: neither their sizes nor their times mean anything. */
const made: ReadonlySet<number> = new Set([
  0x9fa0, // proc
  0x6265_6572, // sysfs
  0x6462_6720, // debugfs
  0x7472_6163, // tracefs
  0x27_e0eb, // cgroup
  0x6367_7270, // cgroup2
  0x7363_6673, // securityfs
  0x6265_6570, // configfs
  0xde5e_81e4, // efivarfs
  0xcafe_4a11, // bpf
  0x6165_676c, // pstore
  0xf97c_ff8c, // selinux
  0x4249_4e4d, // binfmt_misc
  0x0765_5821 // resctrl
])

/** File systems of programs, which may not know a size before a file is read, and say 0. */
const fuse = 0x6573_5546

/** What the sizes that a device tells mean: they are right, are right unless they are 0, or mean nothing. */
export type Sizes = "right" | "rightUnlessZero" | "meaningless"

/** How many blocks the process has had read from disks. */
const blocksRead = (): number => {
  try {
    return process.resourceUsage().fsRead
  } catch {
    return NaN
  }
}

/** What is known of one device. */
export class QuickReads {
  private readonly blocksRead: () => number
  private blocksBefore = 0
  private isCounted = false
  private kind: "unasked" | "asked" | "local" | "other" = process.platform === "linux" ? "unasked" : "other"
  /** What sizes mean here; once it {@link isAsked}. */
  sizes: Sizes = "right"
  private toSkip = 0
  private skips = patience.least

  constructor(countBlocks = blocksRead) {
    this.blocksRead = countBlocks
  }

  /** Waits until it is known where the device is; `areFine` does not. */
  isAsked(filePath: string): Effect.Effect<void> {
    return this.kind === "local" || this.kind === "other"
      ? Effect.void
      : Effect.async<void>((resume) => this.ask(filePath, () => resume(Effect.void)))
  }

  /** Whether the next read, of so many bytes, is to be done at once. */
  areFine(filePath: string, size: number): boolean {
    if (this.kind !== "local") {
      if (this.kind === "unasked") this.ask(filePath)
      return false
    }
    if (size > largest) return false
    if (this.toSkip === 0) return true
    this.toSkip -= 1
    return false
  }

  /** Up to {@link blockSize} bytes were read at once, and that took so many nanoseconds. Tells whether that was quick. */
  took(nanos: bigint): boolean {
    if (nanos < slow) {
      this.skips = Math.max(patience.least, this.skips - 1)
      return true
    }
    if (nanos < tooSlow && this.isCounted && !this.hasRead()) return true
    this.toSkip = this.skips
    this.skips = Math.min(patience.most, this.skips * 2)
    return false
  }

  /** Whether a disk was read since this was last asked. */
  private hasRead(): boolean {
    const before = this.blocksBefore
    this.blocksBefore = this.blocksRead()
    return this.blocksBefore !== before
  }

  private ask(filePath: string, done = () => {}): void {
    this.kind = "asked"
    const answered = (type: number | undefined) => {
      this.kind = type !== undefined && local.has(type) ? "local" : "other"
      this.isCounted = type !== undefined && type !== zfs && fs.existsSync("/proc/self/io")
      this.sizes = type !== undefined && made.has(type) ? "meaningless" : type === fuse ? "rightUnlessZero" : "right"
      done()
    }
    try {
      fs.statfs(filePath, (error, found) => answered(error === null ? found.type : undefined))
    } catch {
      answered(undefined)
    }
  }
}

const devices = new Map<bigint, QuickReads>()

/** What is known of a device, by its number. */
export const of = (device: bigint): QuickReads => {
  const known = devices.get(device)
  if (known !== undefined) return known
  const made = new QuickReads()
  devices.set(device, made)
  return made
}
