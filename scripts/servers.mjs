// Storage servers that nobody here wrote, for the tests in packages/core/test/servers.
//
//   node scripts/servers.mjs            says which of them are installed
//   node scripts/servers.mjs install    installs what is missing: from Debian, where apt-get and root make that possible,
//                                       and from npm into build/servers
//
// It never fails: tests of a server that is not there are skipped, and say so.
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync } from "node:fs"
import { fileURLToPath, pathToFileURL } from "node:url"

/** Where packages of npm are that are servers, and nothing else. */
export const npmFolder = fileURLToPath(new URL("../build/servers", import.meta.url))

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
  },
  {
    name: "nginx",
    packages: ["nginx-light", "libnginx-mod-http-lua"],
    missing: () => [
      ...["nginx"].filter((command) => !isInstalled(command)),
      ...["ndk_http_module.so", "ngx_http_lua_module.so"].filter((name) =>
        !existsSync(`/usr/lib/nginx/modules/${name}`)
      )
    ]
  },
  {
    name: "s3rver",
    npm: ["s3rver@3.7.1"],
    missing: () => existsSync(`${npmFolder}/node_modules/s3rver/bin/s3rver.js`) ? [] : ["s3rver"]
  }
]

/** Which servers are there, and why others are not. */
export const status = () =>
  servers.map(({ missing, name, packages }) => {
    const lacks = missing()
    const how = packages === undefined
      ? "node scripts/servers.mjs install"
      : `apt-get install -y --no-install-recommends ${packages.join(" ")}`
    return { name, reason: lacks.length === 0 ? undefined : `not installed (no ${lacks[0]}; ${how})` }
  })

/** Runs an installer, and says what went wrong. */
const run = (seconds, command, args) => {
  const { error, status: code, stderr } = spawnSync(command, args, {
    timeout: seconds * 1000,
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  })
  if (code === 0) return undefined
  return error?.code === "ETIMEDOUT"
    ? `${command} ${args[0]} took more than ${seconds} s`
    : `${command} ${args[0]} failed: ${(stderr ?? "").trim().split("\n").at(-1) ?? error?.message}`
}

const installFromDebian = (packages) => {
  if (!isInstalled("apt-get")) return "Servers of Debian are not installed: there is no apt-get here."
  if (process.getuid?.() !== 0) return "Servers of Debian are installed by root only."
  const options = ["-y", "-q", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"]
  // Debian starts what it installs, where there is an init system; these servers are started by the tests alone.
  return run(60, "apt-get", ["update", "-q"]) ?? run(150, "apt-get", ["install", ...options, ...packages])
}

const installFromNpm = (packages) => {
  mkdirSync(npmFolder, { recursive: true })
  const options = ["--prefix", npmFolder, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
  return run(60, "npm", ["install", ...options, ...packages])
}

const install = () => {
  const wanted = servers.filter(({ missing }) => missing().length > 0)
  const packages = wanted.flatMap(({ packages = [] }) => packages)
  const npm = wanted.flatMap(({ npm = [] }) => npm)
  const problems = [
    packages.length === 0 ? undefined : installFromDebian(packages),
    npm.length === 0 ? undefined : installFromNpm(npm)
  ]
  for (const problem of problems) if (problem !== undefined) console.log(problem)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv[2] === "install") install()
  for (const { name, reason } of status()) console.log(`${name}: ${reason ?? "installed"}`)
  console.log("@tus/server: installed with the other packages")
}
