/**
 * An nginx that accepts every S3 put and keeps nothing: a server that costs little compared with its clients, and that
 * none of them was made for. It needs nginx with Lua (Debian: `nginx-light libnginx-mod-http-lua`).
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as assert from "node:assert"
import * as ChildProcess from "node:child_process"
import * as fs from "node:fs"
import * as http from "node:http"
import * as net from "node:net"
import * as path from "node:path"
import * as Sparse from "./Sparse.js"

const modules = "/usr/lib/nginx/modules"

const servers = path.resolve(import.meta.dirname, "../servers")

const executable = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"].find((file) => fs.existsSync(file))

/** Starts a sink until the scope closes, and returns its address, or the reason why it cannot be started. */
export const start: Effect.Effect<
  { readonly url: string } | { readonly reason: string },
  never,
  Scope.Scope
> = Effect.gen(function*() {
  if (executable === undefined || !fs.existsSync(path.join(modules, "ngx_http_lua_module.so"))) {
    return { reason: "nginx with Lua is not installed (Debian: nginx-light libnginx-mod-http-lua)" }
  }
  const data = yield* Sparse.directory()
  const port = yield* freePort
  const conf = fs.readFileSync(path.join(servers, "nginx.conf"), "utf8")
    .replaceAll("MODULES", modules)
    .replaceAll("DATA", data)
    .replaceAll("SERVERS", servers)
    .replaceAll("PORT", String(port))
    .replaceAll("USER", process.getuid?.() === 0 ? "user root;" : "")
  const confFile = path.join(data, "nginx.conf")
  fs.writeFileSync(confFile, conf)
  const errors = path.join(data, "error.log")
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => ChildProcess.spawn(executable, ["-c", confFile, "-e", errors], { stdio: "ignore" })),
    (started) =>
      Effect.async<void>((resume) => {
        if (started.exitCode !== null) return resume(Effect.void)
        started.once("exit", () => resume(Effect.void))
        started.kill("SIGTERM")
      })
  )
  const url = `http://127.0.0.1:${port}`
  for (let tries = 0; tries < 100 && child.exitCode === null; tries++) {
    if ((yield* Effect.either(get(`${url}/__stat`)))._tag === "Right") return { url }
    yield* Effect.sleep("50 millis")
  }
  return { reason: `nginx did not start: ${fs.existsSync(errors) ? fs.readFileSync(errors, "utf8") : "no word"}` }
})

/** Runs an upload, and dies unless the sink has received that many bytes and objects. */
export const receiving = <A>(url: string, bytes: number, objects: number, upload: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.gen(function*() {
    yield* get(`${url}/__reset`)
    const result = yield* upload
    const stat = yield* get(`${url}/__stat`)
    assert.strictEqual(stat, `${bytes} ${objects}`)
    return result
  }).pipe(Effect.orDie)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const get = (url: string): Effect.Effect<string, Error> =>
  Effect.async((resume) => {
    http.get(url, { agent: false }, (response) => {
      let text = ""
      response.on("data", (block) => text += block).on("end", () => resume(Effect.succeed(text)))
    }).on("error", (error) => resume(Effect.fail(error)))
  })

const freePort: Effect.Effect<number> = Effect.async((resume) => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})
