/**
 * Whether small files on a device are read synchronously, while everything else waits: five calls through the thread
 * pool cost several times as much as the file itself, and a file in the page cache is read within microseconds.
 *
 * This is done only on devices known to belong to this machine, so that no dead server can block the process, and only
 * while they are quick: after a slow read the next ones go to the thread pool, for longer each time. A read that takes
 * long on a busy machine without reading from a disk has waited for the CPU, as it would have in the thread pool.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"

/** Larger files are not read synchronously, in bytes: everything else would wait for more than a few milliseconds. */
const largest = 16 * 1024 * 1024

/** The number of bytes after which the speed is checked. */
export const blockSize = 512 * 1024

/** If a disk was read, a read that takes longer was not from the page cache or a fast disk; in nanoseconds. */
const slow = 1_000_000n

/** A read that takes longer is slow, whatever the reason; in nanoseconds. */
const tooSlow = 100_000_000n

/** The number of reads that go to the thread pool after a slow one: at first, and at most. */
const patience = { least: 16, most: 4096 }

/** ZFS reads in its own threads, so the kernel does not count its reads as the process's. */
const zfs = 0x2fc1_2fc1

/** Local file systems, by their Linux numbers (statfs(2)). */
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

/** Kernel file systems, whose files are generated when read: neither their sizes nor their times mean anything. */
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

/** FUSE file systems, which may not know a size before a file is read and then report 0. */
const fuse = 0x6573_5546

/** The meaning of the sizes that a device reports: right, right unless 0, or meaningless. */
export type Sizes = "right" | "rightUnlessZero" | "meaningless"

/** The number of blocks that the process has read from disks. */
const blocksRead = (): number => {
  try {
    return process.resourceUsage().fsRead
  } catch {
    return NaN
  }
}

/** The state of one device. */
export class QuickReads {
  private readonly blocksRead: () => number
  private blocksBefore = 0
  private isCounted = false
  private kind: "unasked" | "asked" | "local" | "other" = process.platform === "linux" ? "unasked" : "other"
  /** The meaning of sizes on this device; known after {@link isAsked}. */
  sizes: Sizes = "right"
  private toSkip = 0
  private skips = patience.least

  constructor(countBlocks = blocksRead) {
    this.blocksRead = countBlocks
  }

  /** Waits until the location of the device is known; `areFine` does not wait. */
  isAsked(filePath: string): Effect.Effect<void> {
    return this.kind === "local" || this.kind === "other"
      ? Effect.void
      : Effect.async<void>((resume) => this.ask(filePath, () => resume(Effect.void)))
  }

  /** Whether to do the next read, of `size` bytes, synchronously. */
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

  /**
   * Records that reading up to {@link blockSize} bytes took this many nanoseconds, and returns whether that was quick.
   */
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

  /** Whether a disk has been read since the last call. */
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

/** The state of a device, by its number. */
export const of = (device: bigint): QuickReads => {
  const known = devices.get(device)
  if (known !== undefined) return known
  const made = new QuickReads()
  devices.set(device, made)
  return made
}
