/**
 * The files of a seed.
 */
import { ByteSource, UploadFile } from "@sluice/core"
import { Effect, Option, Stream } from "effect"
import type * as Dice from "../support/Dice.js"

const KiB = 1024

export interface Shape {
  readonly key: string
  readonly size: number
  readonly kind: "disk" | "memory" | "stream" | "sized stream"
  readonly salt: number
}

export const draw = (dice: Dice.Dice, key: string, kind: Shape["kind"] | undefined, large: boolean): Shape => ({
  key,
  kind: kind ?? dice.one(["disk", "disk", "disk", "memory", "stream", "sized stream"]),
  size: !large
    ? dice.one([0, 1, dice.between(2, 500), dice.between(500, 1_000)])
    : dice.chance(0.02)
    ? dice.between(20, 100) * KiB
    : dice.between(1_500, 9_000),
  salt: dice.between(1, 250)
})

export const bytesOf = ({ salt, size }: Shape): Uint8Array => {
  const bytes = new Uint8Array(size)
  for (let i = 0; i < size; i++) bytes[i] = (i * 7 + (i >> 5) + salt) % 251
  return bytes
}

/** A file as it is before anything happens to it. */
export const fileOf = (shape: Shape): UploadFile.UploadFile => {
  const { key, kind, salt, size } = shape
  const bytes = bytesOf(shape)
  if (kind === "memory") return UploadFile.fromBytes(key, bytes)
  if (kind === "disk") {
    const fingerprint = `${size}:${salt}`
    const source = { ...ByteSource.fromBytes(bytes), fingerprint: Effect.succeed(fingerprint) }
    return UploadFile.make(key, source, { fingerprint, modifiedAt: salt * 1_000_000 })
  }
  const blocks = Stream.unfold(
    0,
    (at) => at >= size ? Option.none() : Option.some([bytes.subarray(at, at + 700), at + 700] as const)
  )
  return UploadFile.make(key, ByteSource.fromStream(blocks, { size: kind === "stream" ? undefined : size }))
}
