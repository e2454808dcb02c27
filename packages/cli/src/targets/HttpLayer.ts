/**
 * HTTP destinations. This module is loaded only when one is used.
 */
import type { Destination } from "@sluice/core/Destination"
import * as Http from "@sluice/core/destinations/Http"
import type { Transport } from "@sluice/core/Transport"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Settings } from "../args/DestinationOptions.js"
import * as HttpAccess from "./HttpAccess.js"
import type { Target } from "./Targets.js"
import * as Targets from "./Targets.js"

export const layer = (
  target: Extract<Target, { readonly _tag: "Http" }>,
  access: HttpAccess.HttpAccess,
  { contentRange, ifAbsent }: Pick<Settings, "contentRange" | "ifAbsent">
): Layer.Layer<Destination, never, Transport> =>
  Http.layer({
    url: target.url,
    exact: Targets.isExact(target),
    headers: access.headers,
    credentials: Option.getOrUndefined(Option.map(access.credentials, HttpAccess.render(Http))),
    ifAbsent,
    parts: contentRange ? "contentRange" : undefined
  })
