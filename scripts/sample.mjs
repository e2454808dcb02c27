// A directory to upload: 500 files, 0 B to 32 MiB, about 200 MB, nested and oddly named, always the same.
import * as fs from "node:fs"
import * as path from "node:path"

const version = "1"
const fileCount = 500
const KiB = 1024
const MiB = 1024 * KiB

/** mulberry32: small, fast, and the same on every machine. */
const generator = (seed) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6D2B79F5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
}

const directories = [
  "",
  "docs",
  "photos/2024 summer",
  "photos/2024 summer/raw",
  "música/canción",
  "документы/отчёты",
  "日本語/資料",
  "emoji 🎉/🗂️",
  ".config/.hidden",
  "100% done/%2e%2e/%41",
  "a/b/c/d/e/f/g/h",
  "it's/(brackets) [and] {braces}"
]

const names = [
  (n) => `file-${n}.bin`,
  (n) => `with spaces ${n}.txt`,
  (n) => `naïve café ${n}.md`,
  (n) => `写真-${n}.jpg`,
  (n) => `🚀 launch ${n}.log`,
  (n) => `it's #${n} & more; $HOME.txt`,
  (n) => `.dotfile-${n}`,
  (n) => `50%-${n}%20off.csv`,
  (n) => `e\u0301 decomposed ${n}.txt`,
  (n) => `-rf ${n}`,
  (n) => `UPPER ${n}.TXT`,
  (n) => `${"long-".repeat(46)}${n}.bin`
]

// Windows refuses these.
const posixNames = [
  (n) => `"quoted" ${n}.txt`,
  (n) => `what? ${n} <*>|.txt`,
  (n) => `12:30:${n}.log`
]

/** Sizes: a few large files hold most bytes, and many small ones most names. */
const sizes = (random) => {
  const large = [[32 * MiB, 1], [16 * MiB, 2], [8 * MiB, 4], [4 * MiB, 8], [2 * MiB, 16], [MiB, 24]]
    .flatMap(([size, count]) => Array.from({ length: count }, () => size + (size === 32 * MiB ? 0 : random() % 4099)))
  const empty = Array.from({ length: 8 }, () => 0)
  const small = Array.from(
    { length: fileCount - large.length - empty.length },
    () => Math.max(1, Math.floor(2 ** ((random() / 2 ** 32) * 17)))
  )
  return [...large, ...empty, ...small]
}

const plan = () => {
  const random = generator(0x51_1CE)
  const named = process.platform === "win32" ? names : [...names, ...posixNames]
  return sizes(random).map((size, index) => ({
    file: path.join(directories[(index * 7) % directories.length], named[index % named.length](index)),
    size,
    seed: random()
  }))
}

const content = (size, seed) => {
  const random = generator(seed)
  const words = new Uint32Array(Math.ceil(size / 4))
  for (let i = 0; i < words.length; i++) {
    words[i] = random()
  }
  return new Uint8Array(words.buffer, 0, size)
}

/** Writes the sample at `directory` unless it is there; a half-written one never counts as there. */
export const writeSample = async (directory) => {
  const files = plan()
  const summary = { files: files.length, bytes: files.reduce((sum, { size }) => sum + size, 0) }
  const stampFile = `${directory}.version`
  if (fs.existsSync(directory) && fs.existsSync(stampFile) && fs.readFileSync(stampFile, "utf8") === version) {
    return { ...summary, isNew: false }
  }
  const partial = `${directory}.partial`
  await fs.promises.rm(partial, { recursive: true, force: true })
  await fs.promises.rm(directory, { recursive: true, force: true })
  for (const { file, seed, size } of files) {
    const target = path.join(partial, file)
    await fs.promises.mkdir(path.dirname(target), { recursive: true })
    await fs.promises.writeFile(target, content(size, seed))
  }
  await fs.promises.rename(partial, directory)
  await fs.promises.writeFile(stampFile, version)
  return { ...summary, isNew: true }
}
