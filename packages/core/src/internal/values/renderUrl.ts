/** Formats an address without user, password, query and fragment, which may hold secrets. */
export const renderUrl = (url: string): string =>
  url
    .replace(/[?#].*$/s, "")
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, "$1")
    // Text after the colon that is not a port may be a truncated password.
    .replace(/^([a-z][a-z0-9+.-]*:\/\/(?!\[)[^/:]*):(?!\d+(?:\/|$))[^/]*/i, "$1")
