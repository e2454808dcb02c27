import type { Transport, UploadError } from "@sluice/core"
import { Effect } from "effect"
import { errorName } from "./ErrorName.js"

export const put = (url: string, body?: Transport.Request["body"], headers: Readonly<Record<string, string>> = {}) =>
  ({ method: "PUT", url, headers, body }) satisfies Transport.Request

export const failure = <A, R>(effect: Effect.Effect<A, UploadError.UploadError, R>) =>
  Effect.map(Effect.flip(effect), errorName)
