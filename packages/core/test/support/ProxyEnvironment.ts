import { Effect } from "effect"

/** Sets variables of the environment, and no others that name proxies, until the scope ends. */
export const set = (variables: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const names = Object.keys(process.env).filter((name) => /^(https?|no|all)_proxy$/i.test(name))
      const before = Object.fromEntries(names.map((name) => [name, process.env[name]]))
      for (const name of names) delete process.env[name]
      Object.assign(process.env, variables)
      return before
    }),
    (before) =>
      Effect.sync(() => {
        for (const name of Object.keys(variables)) delete process.env[name]
        Object.assign(process.env, before)
      })
  )
