// Compares two directories byte by byte, in bounded memory.
import * as fs from "node:fs/promises"
import * as path from "node:path"

const chunkSize = 1024 * 1024
const filesAtOnce = 8

/** Every file below `directory`, relative to it, with its size; whatever is no plain file or directory has size -1. */
const listFiles = async (directory) => {
  const found = new Map()
  for (const entry of await fs.readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) {
      continue
    }
    const file = path.join(entry.parentPath ?? entry.path, entry.name)
    found.set(path.relative(directory, file), entry.isFile() ? (await fs.stat(file)).size : -1)
  }
  return found
}

const readFully = async (handle, buffer, position) => {
  let filled = 0
  while (filled < buffer.length) {
    const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, position + filled)
    if (bytesRead === 0) {
      break
    }
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
}

/** The offset of the first chunk that differs, or undefined. */
const firstDifference = async (leftFile, rightFile, size, buffers) => {
  const left = await fs.open(leftFile)
  try {
    const right = await fs.open(rightFile)
    try {
      for (let offset = 0; offset < size; offset += chunkSize) {
        const [a, b] = await Promise.all([readFully(left, buffers[0], offset), readFully(right, buffers[1], offset)])
        if (!a.equals(b) || a.length !== Math.min(chunkSize, size - offset)) {
          return offset
        }
      }
      return undefined
    } finally {
      await right.close()
    }
  } finally {
    await left.close()
  }
}

/** What differs between the files of `source` and those of `destination`: missing, extra, another size, other bytes. */
export const compareTrees = async (source, destination) => {
  const [wanted, stored] = await Promise.all([listFiles(source), listFiles(destination)])
  const differences = []
  let bytes = 0
  for (const file of stored.keys()) {
    if (!wanted.has(file)) {
      differences.push(`extra: ${file}`)
    }
  }
  const queue = wanted.entries()
  const worker = async () => {
    const buffers = [Buffer.allocUnsafe(chunkSize), Buffer.allocUnsafe(chunkSize)]
    for (const [file, size] of queue) {
      if (!stored.has(file)) {
        differences.push(`missing: ${file}`)
      } else if (stored.get(file) !== size) {
        differences.push(`size: ${file} has ${stored.get(file)} bytes instead of ${size}`)
      } else {
        const offset = await firstDifference(path.join(source, file), path.join(destination, file), size, buffers)
        if (offset !== undefined) {
          differences.push(`content: ${file} differs in the MiB at offset ${offset}`)
        }
        bytes += size
      }
    }
  }
  await Promise.all(Array.from({ length: filesAtOnce }, worker))
  return { files: wanted.size, bytes, differences: differences.sort() }
}
