/**
 * Servers that speak tus. This module is loaded only when one is used.
 */
import type { Destination } from "@sluice/core/Destination"
import * as Tus from "@sluice/core/destinations/Tus"
import type { Transport } from "@sluice/core/Transport"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as HttpAccess from "./HttpAccess.js"
import type { Locations } from "./RemoteLocations.js"

export const layer = (
  url: string,
  access: HttpAccess.HttpAccess,
  { known, onStored }: Locations
): Layer.Layer<Destination, never, Transport> =>
  Tus.layer({
    url,
    locations: known,
    onStored,
    headers: access.headers,
    credentials: Option.getOrUndefined(Option.map(access.credentials, HttpAccess.render(Tus)))
  })
