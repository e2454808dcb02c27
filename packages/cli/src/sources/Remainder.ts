/**
 * Finds what a run leaves undone when it is stopped: the files that it has found but not begun, and those that have not
 * been listed yet.
 *
 * This module observes the list on its way to the run, and each result. An item without a result at the end of the run
 * was not begun; there are never more of them than a run reads ahead. The list stays where the run stopped reading, and
 * can be read on from there.
 */
import * as UploadList from "@sluice/core/UploadList"
import type { UploadResult } from "@sluice/core/UploadResult"
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** A list as the command line makes it. */
export type Items = ReadonlyArray<UploadList.Item> | Stream.Stream<UploadList.Item>

export interface Remainder {
  /** The list, for the run. */
  readonly items: Items
  /** Records a result of the run. */
  readonly note: (result: UploadResult) => void
  /** After the run: the items that it found but did not begin. */
  readonly found: () => ReadonlyArray<UploadList.Item>
  /** Whether the list has been read to its end. */
  readonly listed: () => boolean
  /** After the run: the items that it did not list. */
  readonly unlisted: Stream.Stream<UploadList.Item>
}

/** Follows a list through a run. */
export const follow = Effect.fnUntraced(function*(items: Items): Effect.fn.Return<Remainder, never, Scope.Scope> {
  const notBegun = new Map<object, UploadList.Item>()
  const found = () => Array.from(notBegun.values())
  const note = (result: UploadResult): void => {
    notBegun.delete(result.file)
  }
  const add = (more: Iterable<UploadList.Item>): void => {
    for (const item of more) notBegun.set(UploadList.isFile(item) ? item : item.file, item)
  }
  if (!(Stream.StreamTypeId in items)) {
    add(items)
    return { items, note, found, listed: () => true, unlisted: Stream.empty }
  }
  const scope = yield* Effect.scope
  const pull = yield* Stream.toPull(items)
  let pulling: Fiber.Fiber<Chunk.Chunk<UploadList.Item>, Option.Option<never>> | undefined = undefined
  let listed = false
  // An interrupted pull loses what it has read. So only waiting for it can be interrupted, and the next reader waits
  // on.
  const nextFor = (take: (chunk: Chunk.Chunk<UploadList.Item>) => void) =>
    Effect.gen(function*() {
      pulling ??= yield* Effect.forkIn(Effect.tapError(pull, () => Effect.sync(() => listed = true)), scope)
      const chunk = yield* Fiber.join(pulling)
      pulling = undefined
      take(chunk)
      return chunk
    })
  return {
    items: Stream.repeatEffectChunkOption(nextFor(add)),
    note,
    found,
    listed: () => listed,
    unlisted: Stream.repeatEffectChunkOption(nextFor(() => {}))
  }
})
