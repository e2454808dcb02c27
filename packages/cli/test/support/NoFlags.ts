/**
 * The flags of a destination, when none is given.
 */
import { Option } from "effect"
import type * as DestinationOptions from "../../src/args/DestinationOptions.js"

const none = Option.none()

export const noFlags: DestinationOptions.Flags = {
  endpoint: none,
  region: none,
  profile: none,
  provider: none,
  pathStyle: false,
  noPathStyle: false,
  header: [],
  ca: none,
  noVerifyTls: false
}
