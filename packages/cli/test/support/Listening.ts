/**
 * Servers of tests, on any port of this machine that is free.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import type * as net from "node:net"

/** Listens until the scope ends; on which port. */
export const listening = (
  server: net.Server & { readonly closeAllConnections?: () => void }
): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
    () =>
      Effect.promise(() => {
        server.closeAllConnections?.()
        return new Promise((resolve) => server.close(resolve))
      })
  ).pipe(Effect.map(() => {
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }))
