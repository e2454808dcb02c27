import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import * as Argv from "../../src/args/Argv.js"

const copy = Command.make("copy", {
  paths: Args.repeated(Args.text({ name: "path" })),
  json: Options.boolean("json"),
  rate: Options.optional(Options.text("rate")),
  include: Options.repeated(Options.text("include")),
  mode: Options.withDefault(Options.choice("mode", ["fast", "slow"]), "fast")
})

const flags = Argv.flagsOf(Command.getUsage(copy))

const normalize = (...args: ReadonlyArray<string>) => Argv.normalize(args, new Map([["copy", flags]]))

const right = (request: Argv.Request): Either.Either<Argv.Request, string> => Either.right(request)

const left = (problem: string): Either.Either<Argv.Request, string> => Either.left(problem)

const runs = (...args: ReadonlyArray<string>) => right({ _tag: "Run", args })

describe("Argv", () => {
  it("reads flags off a command's usage", () => {
    assert.deepStrictEqual([...flags], [
      ["--json", { takesValue: false, repeatable: false }],
      ["--rate", { takesValue: true, repeatable: false }],
      ["--include", { takesValue: true, repeatable: true }],
      ["--mode", { takesValue: true, repeatable: false }]
    ])
  })

  it("puts flags before arguments, wherever they were", () => {
    const expected = runs("copy", "--rate", "5/s", "--json", "true", "--", "from", "to")
    assert.deepStrictEqual(normalize("copy", "--rate", "5/s", "--json", "from", "to"), expected)
    assert.deepStrictEqual(normalize("copy", "from", "to", "--rate", "5/s", "--json"), expected)
    assert.deepStrictEqual(normalize("copy", "from", "--rate=5/s", "to", "--json"), expected)
    assert.deepStrictEqual(normalize("--rate=5/s", "copy", "from", "--json=true", "to"), expected)
  })

  it("puts built-in flags before all others, where @effect/cli finds them", () => {
    assert.deepStrictEqual(
      normalize("copy", "from", "--json", "--rate", "5/s", "--log-level", "all"),
      runs("copy", "--log-level", "all", "--json", "true", "--rate", "5/s", "--", "from")
    )
  })

  it("gives a boolean flag no file to swallow", () => {
    assert.deepStrictEqual(normalize("copy", "--json", "y", "1"), runs("copy", "--json", "true", "--", "y", "1"))
    assert.deepStrictEqual(normalize("copy", "--json=false", "y"), runs("copy", "--json", "false", "--", "y"))
    assert.deepStrictEqual(
      normalize("copy", "--json=maybe"),
      left("--json: \"maybe\" is not a valid value. It takes true, false or no value.")
    )
  })

  it("keeps all of a repeatable flag, and the last of any other", () => {
    assert.deepStrictEqual(
      normalize("copy", "--include=*.jpg", "--rate", "1/s", "--include", "*.png", "--rate", "2/s", "a"),
      runs("copy", "--include", "*.jpg", "--include", "*.png", "--rate", "2/s", "--", "a")
    )
  })

  it("treats everything after -- as an argument, and a lone dash too", () => {
    assert.deepStrictEqual(
      normalize("copy", "--json", "-", "--", "--rate", "--", "-x"),
      runs("copy", "--json", "true", "--", "-", "--rate", "--", "-x")
    )
  })

  it("takes a value that looks like a flag", () => {
    assert.deepStrictEqual(normalize("copy", "--rate", "--json"), runs("copy", "--rate", "--json", "--"))
  })

  it("names an unknown flag and a similar one", () => {
    assert.deepStrictEqual(
      normalize("copy", "a", "--jsn"),
      left("--jsn is not a flag of \"sluice copy\". Did you mean --json?")
    )
    assert.deepStrictEqual(
      normalize("copy", "-rf"),
      left("-rf is not a flag of \"sluice copy\". Put a file of that name after \"--\".")
    )
  })

  it("misses a value", () => {
    assert.deepStrictEqual(normalize("copy", "a", "--rate"), left("--rate needs a value after it."))
  })

  it("finds requests for help", () => {
    const help = (command: string | undefined) => right({ _tag: "Help", command })
    assert.deepStrictEqual(normalize(), help(undefined))
    assert.deepStrictEqual(normalize("--help"), help(undefined))
    assert.deepStrictEqual(normalize("copy", "a", "b", "-h"), help("copy"))
    assert.deepStrictEqual(normalize("copy", "--", "-h"), runs("copy", "--", "-h"))
  })

  it("leaves to @effect/cli what it does itself", () => {
    assert.deepStrictEqual(normalize("--version"), runs("--version"))
    assert.deepStrictEqual(normalize("--completions", "bash"), runs("--completions", "bash"))
  })

  it("names an unknown command", () => {
    assert.deepStrictEqual(
      normalize("cp", "a", "b"),
      left("\"cp\" is not a command. The commands are copy.")
    )
    assert.deepStrictEqual(
      normalize("--json"),
      left("--json is not known here: the command comes first, as in \"sluice upload photos backup\".")
    )
  })

  describe("of two words", () => {
    const commands = new Map([["copy", flags], ["copies ls", flags], ["copies rm", flags]])

    const normalizeAll = (...args: ReadonlyArray<string>) => Argv.normalize(args, commands)

    it("keeps the words together", () => {
      assert.deepStrictEqual(
        normalizeAll("copies", "rm", "to", "--json", "ls"),
        runs("copies", "rm", "--json", "true", "--", "to", "ls")
      )
      assert.deepStrictEqual(normalizeAll("--json", "copies", "ls"), runs("copies", "ls", "--json", "true", "--"))
      assert.deepStrictEqual(normalizeAll("copies", "ls", "--", "-x"), runs("copies", "ls", "--", "-x"))
    })

    it("does not look for the second word among flags and their values", () => {
      assert.deepStrictEqual(
        normalizeAll("copies", "--rate", "rm", "ls"),
        left("\"copies\" needs ls or rm after it, as in \"sluice copies ls\".")
      )
      assert.deepStrictEqual(
        normalizeAll("copies", "mv"),
        left("\"copies\" needs ls or rm after it, as in \"sluice copies ls\".")
      )
    })

    it("helps with the group and with each of it", () => {
      const help = (command: string | undefined) => right({ _tag: "Help", command })
      assert.deepStrictEqual(normalizeAll("copies"), help("copies"))
      assert.deepStrictEqual(normalizeAll("copies", "--help"), help("copies"))
      assert.deepStrictEqual(normalizeAll("copies", "rm", "-h"), help("copies rm"))
      assert.deepStrictEqual(
        ["copies rm x", "copies", "copy", "mv"].map((line) => Argv.commandOf(line.split(" "), commands)),
        ["copies rm", "copies", "copy", undefined]
      )
    })
  })
})
