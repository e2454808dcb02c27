/** The numbers and failures that reports of tests are made of. */

export const progress = {
  startedAt: 1_000,
  listing: false,
  filesFound: 10,
  filesUploaded: 4,
  filesSkipped: 1,
  filesFailed: 2,
  filesInterrupted: 1,
  filesOfUnknownSize: 0,
  inFlight: 0,
  peakInFlight: 3,
  bytesFound: 500,
  bytesUploaded: 200,
  bytesInFlight: 0,
  bytesResumed: 50,
  attempts: 9,
  retries: 2
}

export const failures = [
  { key: "a", attempts: 2, error: { _tag: "Transient", reason: "Connection", message: "no" } },
  { key: "b", attempts: 1, error: { _tag: "Conflict", message: "no" } }
]

export const leftBehind = [{ key: "c", error: { _tag: "Transient", reason: "Connection", message: "no" } }]
