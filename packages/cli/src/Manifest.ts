/**
 * Manifests: the files of a run that failed or were interrupted, so that another run can take up just these.
 *
 * A manifest is lines of JSON. The first is `{"_tag":"Manifest","version":1}`; each other one names a file by its
 * absolute path and its key: `{"_tag":"Failed","path":"/home/me/a.jpg","key":"a.jpg","error":{…}}`. An entry whose key
 * ends with `/` is a directory that could not be read.
 *
 * A manifest is written as the run goes, beside its own name, and takes its name at the end: a run may read the very
 * manifest that it replaces.
 */
import { Summary, summarize } from "@sluice/core/UploadError"
import type { UploadResult } from "@sluice/core/UploadResult"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as CliError from "./CliError.js"
import type { Locations } from "./Sources.js"

const Header = Schema.parseJson(Schema.TaggedStruct("Manifest", { version: Schema.Literal(1) }))

/** A file, or a directory, that did not make it. */
export const Entry = Schema.Struct({
  _tag: Schema.Literal("Failed", "Interrupted"),
  path: Schema.String,
  key: Schema.String,
  error: Schema.optional(Summary)
})

export type Entry = typeof Entry.Type

const isHeaderLine = Schema.is(Schema.typeSchema(Header))
