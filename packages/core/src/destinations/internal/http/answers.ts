/**
 * The answers of an HTTP server to a put: that the file is stored, or what went wrong.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Stored } from "../../../Destination.js"
import { isSuccess, refused } from "../../../internal/transport/answers.js"
import type { Answer } from "../../../Transport.js"
import type { UploadError } from "../../../UploadError.js"
import * as HttpPages from "./pages.js"

/** Removes secrets from what a server says. */
export type Mask = (text: string) => string

export const stored = (
  name: string,
  answer: Answer,
  mask: Mask,
  evidence: HttpPages.Evidence | undefined
): Effect.Effect<Stored, UploadError> =>
  isSuccess(answer) ? HttpPages.stored(name, answer, evidence) : fail(name, answer, mask)

export const fail = (name: string, answer: Answer, mask: Mask): Effect.Effect<never, UploadError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(refused(name, answer, mask, now)))
