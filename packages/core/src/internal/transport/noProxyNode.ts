/**
 * `NO_PROXY`: what is reached without a proxy. Its entries are separated by commas or spaces.
 *
 * | entry | what it matches |
 * |---|---|
 * | `*` | everything |
 * | `example.org`, `.example.org`, `*.example.org` | the host and its subdomains, as in curl |
 * | `192.0.2.7`, `2001:db8::1`, `[2001:db8::1]` | the address, however it is written |
 * | `10.0.0.0/8`, `fd00::/8` | the addresses of the network; names are not resolved for it |
 * | any of the first three with `:8080` | that port only; `[2001:db8::1]:8080` |
 *
 * As in curl, this machine is no exception: list `localhost` to reach it without a proxy.
 */
import * as net from "node:net"
import { domainToASCII } from "node:url"

/** Reads the variable and returns a predicate: whether an address is reached without a proxy. */
export const parse = (text: string): (url: URL) => boolean => {
  const entries = text.split(/[,\s]+/).filter((entry) => entry !== "").map(entryOf)
  return (url) => {
    if (entries.length === 0) return false
    const port = Number(url.port === "" ? defaultPorts[url.protocol] : url.port)
    const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "").toLowerCase()
    return entries.some((entry) => (entry.port === undefined || entry.port === port) && entry.isFor(host))
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface Entry {
  readonly port: number | undefined
  readonly isFor: (host: string) => boolean
}

const defaultPorts: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 }

const entryOf = (text: string): Entry => {
  const [, host = text, port] = /^(.*):(\d+)$/.exec(text) ?? []
  // Text with several colons is an IPv6 address, and its end is not a port.
  const isWhole = port === undefined || (host.includes(":") && !host.endsWith("]"))
  return { port: isWhole ? undefined : Number(port), isFor: hostsOf((isWhole ? text : host).replace(/^\[|\]/g, "")) }
}

const hostsOf = (text: string): Entry["isFor"] => {
  if (text === "*") return () => true
  const [, address = text, prefix] = /^(.*)\/(\d{1,3})$/.exec(text) ?? []
  const family = familyOf(address)
  if (family !== undefined && (prefix === undefined || Number(prefix) <= bits[family])) {
    const addresses = new net.BlockList()
    addresses.addSubnet(address, prefix === undefined ? bits[family] : Number(prefix), family)
    return (host) => {
      const hostFamily = familyOf(host)
      return hostFamily !== undefined && addresses.check(host, hostFamily)
    }
  }
  const name = domainToASCII(text.replace(/^\*?\./, "").replace(/\.$/, "").toLowerCase())
  return (host) => name !== "" && familyOf(host) === undefined && (host === name || host.endsWith(`.${name}`))
}

const bits = { ipv4: 32, ipv6: 128 } as const

const familyOf = (host: string): keyof typeof bits | undefined =>
  net.isIPv4(host) ? "ipv4" : net.isIPv6(host) ? "ipv6" : undefined
