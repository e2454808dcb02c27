// Storage servers that nobody here wrote, for the tests in packages/core/test/servers.
//
//   node scripts/servers.mjs            says which of them are installed
//   node scripts/servers.mjs install    installs what is missing, where apt-get and root make that possible
//
// It never fails: tests of a server that is not there are skipped, and say so.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { pathToFileURL } from "node:url"

const isInstalled = (command) =>
  (process.env.PATH ?? "").split(":").concat("/usr/sbin", "/usr/bin").some((folder) =>
    existsSync(`${folder}/${command}`)
  )

const servers = [
  {
    name: "Swift",
    packages: ["swift-proxy", "swift-account", "swift-container", "swift-object", "memcached"],
    missing: () =>
      ["swift-proxy-server", "swift-account-server", "swift-container-server", "swift-object-server", "memcached"]
        .filter((command) => !isInstalled(command))
  }
]

/** Which servers are there, and why others are not. */
export const status = () =>
  servers.map(({ missing, name, packages }) => {
    const lacks = missing()
    return lacks.length === 0
      ? { name, reason: undefined }
      : {
        name,
        reason: `not installed (no ${lacks[0]}; apt-get install -y --no-install-recommends ${packages.join(" ")})`
      }
  })

const apt = (seconds, ...args) => {
  const { error, status: code, stderr } = spawnSync("apt-get", args, {
    timeout: seconds * 1000,
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  })
  if (code === 0) return undefined
  return error?.code === "ETIMEDOUT"
    ? `apt-get ${args[0]} took more than ${seconds} s`
    : `apt-get ${args[0]} failed: ${(stderr ?? "").trim().split("\n").at(-1) ?? error?.message}`
}

const install = () => {
  const wanted = servers.filter(({ missing }) => missing().length > 0).flatMap(({ packages }) => packages)
  if (wanted.length === 0) return
  if (!isInstalled("apt-get")) return console.log("Servers are installed on Debian only: there is no apt-get here.")
  if (process.getuid?.() !== 0) return console.log("Servers are installed by root only.")
  // Debian starts what it installs, where there is an init system; these servers are started by the tests alone.
  const problem = apt(60, "update", "-q") ??
    apt(150, "install", "-y", "-q", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", ...wanted)
  if (problem !== undefined) console.log(problem)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv[2] === "install") install()
  for (const { name, reason } of status()) console.log(`${name}: ${reason ?? "installed"}`)
  console.log("@tus/server: installed with the other packages")
}
