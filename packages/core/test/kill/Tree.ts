/**
 * Directories to upload, the same for the same seed: many small files and a few large ones.
 */
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Dice } from "../support/Dice.js"

const KiB = 1024

export interface Tree {
  readonly root: string
  /** Sizes by key. */
  readonly files: Map<string, number>
}

/** Bytes that no two versions of a file share. */
const content = (size: number): Buffer => {
  const cipher = crypto.createCipheriv("aes-128-ctr", crypto.randomBytes(16), Buffer.alloc(16))
  return cipher.update(Buffer.alloc(size))
}

const write = (tree: Tree, key: string, size: number): void => {
  const file = path.join(tree.root, key)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, content(size))
  tree.files.set(key, size)
}

export const make = (root: string, dice: Dice, large: { readonly from: number; readonly to: number }): Tree => {
  const tree: Tree = { root, files: new Map() }
  const small = dice.between(5, 40)
  for (let i = 0; i < small; i++) {
    const size = dice.chance(0.1) ? 0 : dice.between(1, dice.one([100, 4 * KiB, 64 * KiB]))
    write(tree, `${dice.one(["", "a/", "a/b/", "ü ö/"])}small-${i}.bin`, size)
  }
  const many = dice.between(2, 4)
  for (let i = 0; i < many; i++) {
    write(tree, `${dice.one(["", "a/", "large/"])}large-${i}.bin`, dice.between(large.from, large.to))
  }
  return tree
}

/** Gives a file other content: sometimes of another size, sometimes under the same name as another file. */
export const change = (tree: Tree, key: string, dice: Dice): void => {
  const size = tree.files.get(key)!
  const kind = dice.one(["rewritten", "grown", "cut", "replaced"] as const)
  const file = path.join(tree.root, key)
  if (kind === "replaced") fs.rmSync(file)
  write(tree, key, kind === "grown" ? size + dice.between(1, 300_000) : kind === "cut" ? Math.floor(size / 2) : size)
}
