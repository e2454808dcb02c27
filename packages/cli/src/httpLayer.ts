/**
 * HTTP destinations. Loaded only when one is used.
 */
import type { Destination } from "@sluice/core/Destination"
import * as Http from "@sluice/core/destinations/Http"
import type { Transport } from "@sluice/core/Transport"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Settings } from "./destinationOptions.js"
import type { HttpAccess, HttpCredentials } from "./HttpAccess.js"

export const layer = (
  url: string,
  access: HttpAccess,
  { contentRange, ifAbsent }: Pick<Settings, "contentRange" | "ifAbsent">
): Layer.Layer<Destination, never, Transport> =>
  Http.layer({
    url,
    headers: access.headers,
    credentials: Option.getOrUndefined(Option.map(access.credentials, render)),
    ifAbsent,
    parts: contentRange ? "contentRange" : undefined
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const render = (credentials: HttpCredentials): Http.Credentials =>
  credentials._tag === "Bearer"
    ? Http.bearer(credentials.token)
    : Http.basic(credentials.user, credentials.password)
