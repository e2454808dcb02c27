/**
 * Formats numbers for people: counts, bytes in decimal units, times, percentages.
 *
 * Networks and disks are sold in decimal megabytes, so all output is decimal; flags accept both kinds of units.
 */

/** `12,345` */
export const count = (value: number): string => value.toLocaleString("en-US")

/** `1 file`, `2 files` */
export const counted = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? "" : "s"}`

const units = ["B", "kB", "MB", "GB", "TB", "PB"]

/** `1.5 MB` */
export const bytes = (value: number): string => {
  let scaled = value
  let unit = 0
  // 999.95 kB would be written as 1000.0 kB.
  while (scaled >= (unit === 0 ? 1000 : 999.95) && unit < units.length - 1) {
    scaled /= 1000
    unit += 1
  }
  return `${unit === 0 ? Math.round(scaled) : scaled.toFixed(1)} ${units[unit]}`
}

/** `1.5 MB/s` */
export const throughput = (bytesPerSecond: number): string => `${bytes(bytesPerSecond)}/s`

/** `40 ms`, `1.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h` */
export const duration = (millis: number): string => {
  if (millis < 999.5) return `${Math.round(millis)} ms`
  if (millis < 9_950) return `${(millis / 1000).toFixed(1)} s`
  const seconds = Math.round(millis / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return pair(Math.floor(seconds / 60), "min", seconds % 60, "s")
  const minutes = Math.round(seconds / 60)
  if (minutes < 1_440) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min")
  const hours = Math.round(minutes / 60)
  return pair(Math.floor(hours / 24), "d", hours % 24, "h")
}

/** `42%`; 100% only for the whole. */
export const percent = (fraction: number): string => `${Math.floor(fraction * 100)}%`

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const pair = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
  `${large} ${largeUnit} ${String(small).padStart(2, "0")} ${smallUnit}`
