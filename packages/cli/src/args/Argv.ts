/**
 * Puts arguments as users type them into the one form that `@effect/cli` reads without surprises.
 *
 * `@effect/cli` 0.77 wants flags before arguments, lets a boolean flag swallow a file called `y` or `1`, takes an
 * unknown flag for a file, does not understand `--include=*.jpg` for a repeatable flag, and refuses a flag that is
 * given twice. So this module puts the arguments in order first: the command, which may have two words, its flags (each
 * with its value), `--`, the arguments. Flags may stand anywhere before a `--`, with a space or `=` before the value.
 * If a flag is given twice, the last value applies.
 */
import * as AutoCorrect from "@effect/cli/AutoCorrect"
import * as CliConfig from "@effect/cli/CliConfig"
import type * as Usage from "@effect/cli/Usage"
import * as Either from "effect/Either"
import * as Option from "effect/Option"

/** The syntax of a flag. */
export interface Flag {
  readonly takesValue: boolean
  readonly repeatable: boolean
}

export type Flags = ReadonlyMap<string, Flag>

/** The flags of a command, by name, from its usage. */
export const flagsOf = (usage: Usage.Usage, repeatable: boolean = false): Flags => {
  switch (usage._tag) {
    case "Named":
      return new Map(
        usage.names
          .filter((name) => name.startsWith("-"))
          .map((name) => [name, { takesValue: Option.isSome(usage.acceptedValues), repeatable }])
      )
    case "Optional":
      return flagsOf(usage.usage, repeatable)
    case "Repeated":
      return flagsOf(usage.usage, true)
    case "Alternation":
    case "Concat":
      return new Map([...flagsOf(usage.left, repeatable), ...flagsOf(usage.right, repeatable)])
    default:
      return new Map()
  }
}

/** The request that the arguments make. */
export type Request =
  | { readonly _tag: "Help"; readonly command: string | undefined }
  | { readonly _tag: "Run"; readonly args: ReadonlyArray<string> }

/** Puts arguments in order, or says what is wrong with them. `commands` maps the words of each command to its flags. */
export const normalize = (
  args: ReadonlyArray<string>,
  commands: ReadonlyMap<string, Flags>
): Either.Either<Request, string> => {
  const { at, command, words } = commandIn(args, commands)
  const flags = command === undefined ? undefined : commands.get(command)
  if (flags === undefined) {
    const members = membersOf(command, commands)
    if (args.length === 0 || args.some(isHelp) || (members.length > 0 && args.length === 1)) {
      return Either.right({ _tag: "Help", command: members.length > 0 ? command : undefined })
    }
    const builtIn = args.find((arg) => builtIns.has(arg.split("=", 1)[0] ?? arg))
    if (builtIn !== undefined) return Either.right({ _tag: "Run", args })
    return Either.left(
      command === undefined
        ? `${args[0]} is not known here: the command comes first, as in "sluice upload photos backup".`
        : members.length > 0
        ? `"${command}" needs ${members.join(" or ")} after it, as in "sluice ${command} ${members[0]}".`
        : `"${command}" is not a command. The commands are ${[...commands.keys()].join(", ")}.`
    )
  }
  const rest = args.filter((_, index) => index < at || index >= at + words.length)
  const end = rest.indexOf("--")
  const typed = end < 0 ? rest : rest.slice(0, end)
  if (typed.some(isHelp)) return Either.right({ _tag: "Help", command })
  const positional: Array<string> = []
  const given: Array<readonly [name: string, value: string]> = []
  for (let i = 0; i < typed.length; i++) {
    const arg = typed[i] ?? ""
    if (arg === "-" || !arg.startsWith("-")) {
      positional.push(arg)
      continue
    }
    const equals = arg.startsWith("--") ? arg.indexOf("=") : -1
    const name = equals < 0 ? arg : arg.slice(0, equals)
    const flag = flags.get(name) ?? builtIns.get(name)
    if (flag === undefined) return Either.left(unknownFlag(name, command ?? "", flags))
    if (equals >= 0) {
      const value = arg.slice(equals + 1)
      if (!flag.takesValue && value !== "true" && value !== "false") {
        return Either.left(`${name}: ${JSON.stringify(value)} is not a valid value. It takes true, false or no value.`)
      }
      given.push([name, value])
    } else if (!flag.takesValue) {
      given.push([name, "true"])
    } else {
      i += 1
      const value = typed[i]
      if (value === undefined) return Either.left(`${name} needs a value after it.`)
      given.push([name, value])
    }
  }
  const lastOnes = given.filter(([name], index) =>
    flags.get(name)?.repeatable === true || given.findLastIndex(([other]) => other === name) === index
  )
  // @effect/cli finds built-in flags only if they come first.
  const inOrder = [true, false].flatMap((first) => lastOnes.filter(([name]) => builtIns.has(name) === first))
  return Either.right({
    _tag: "Run",
    args: [...words, ...inOrder.flat(), "--", ...positional, ...(end < 0 ? [] : rest.slice(end + 1))]
  })
}

/** The command that the arguments name, if it exists. */
export const commandOf = (
  args: ReadonlyArray<string>,
  commands: ReadonlyMap<string, Flags>
): string | undefined => {
  const { command } = commandIn(args, commands)
  return command !== undefined && (commands.has(command) || membersOf(command, commands).length > 0)
    ? command
    : undefined
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The command and its position; its words are adjacent. For a word that only groups commands, just that word. */
const commandIn = (
  args: ReadonlyArray<string>,
  commands: ReadonlyMap<string, Flags>
): { readonly at: number; readonly command: string | undefined; readonly words: ReadonlyArray<string> } => {
  const at = args.findIndex((arg) => !arg.startsWith("-"))
  const two = at < 0 ? [] : args.slice(at, at + 2)
  const words = commands.has(two.join(" ")) ? two : two.slice(0, 1)
  return { at, command: words.length === 0 ? undefined : words.join(" "), words }
}

/** The words that may follow one that groups commands. */
const membersOf = (word: string | undefined, commands: ReadonlyMap<string, Flags>): ReadonlyArray<string> =>
  Array.from(commands.keys()).flatMap((name) => name.startsWith(`${word} `) ? [name.slice(`${word} `.length)] : [])

const isHelp = (arg: string): boolean => arg === "--help" || arg === "-h"

/** The flags that `@effect/cli` has built in. */
const builtIns: Flags = new Map([
  ["--version", { takesValue: false, repeatable: false }],
  ["--wizard", { takesValue: false, repeatable: false }],
  ["--completions", { takesValue: true, repeatable: false }],
  ["--log-level", { takesValue: true, repeatable: false }]
])

const unknownFlag = (name: string, command: string, flags: Flags): string => {
  const near = [...flags.keys()]
    .map((known) => [known, AutoCorrect.levensteinDistance(name, known, CliConfig.defaultConfig)] as const)
    .filter(([known, distance]) => distance <= Math.max(2, known.length / 3))
    .sort(([, one], [, other]) => one - other)[0]
  return near === undefined
    ? `${name} is not a flag of "sluice ${command}". Put a file of that name after "--".`
    : `${name} is not a flag of "sluice ${command}". Did you mean ${near[0]}?`
}
