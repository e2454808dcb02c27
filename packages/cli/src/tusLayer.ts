/**
 * Servers that speak tus. Loaded only when one is used.
 */
import type { Destination } from "@sluice/core/Destination"
import * as Tus from "@sluice/core/destinations/Tus"
import type { Transport } from "@sluice/core/Transport"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { HttpAccess, HttpCredentials } from "./HttpAccess.js"

export const layer = (url: string, access: HttpAccess): Layer.Layer<Destination, never, Transport> =>
  Tus.layer({
    url,
    headers: access.headers,
    credentials: Option.getOrUndefined(Option.map(access.credentials, render))
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const render = (credentials: HttpCredentials): Tus.Credentials =>
  credentials._tag === "Bearer"
    ? Tus.bearer(credentials.token)
    : Tus.basic(credentials.user, credentials.password)
