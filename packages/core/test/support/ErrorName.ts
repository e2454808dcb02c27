import type { UploadError } from "@sluice/core"

/** The tag of an error, and its reason if it has one. */
export const errorName = (error: UploadError.UploadError): string =>
  "reason" in error ? `${error._tag} ${error.reason}` : error._tag
