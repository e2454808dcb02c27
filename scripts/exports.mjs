// Whether a packed core gives what it should: every public module can be imported, and no closed one.
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import ts from "typescript"

const isClosed = (name) => /(^|\/)internal\//.test(name)

/** The modules of a package as it was packed, by their paths below `dist`. */
const modulesOf = (installed) =>
  fs.readdirSync(path.join(installed, "dist"), { recursive: true })
    .map((file) => file.split(path.sep).join("/"))
    .filter((file) => file.endsWith(".js"))
    .map((file) => file.slice(0, -".js".length))

/** What is run where the package is installed: it says what came out otherwise than it should. */
const program = `
  const wrong = []
  const tryAll = async (names, check) => {
    for (const name of names) {
      const failure = await import(name).then(() => undefined, (error) => error)
      const problem = check(failure)
      if (problem !== undefined) wrong.push(name + " " + problem)
    }
  }
  const { open, closed } = JSON.parse(process.argv[1])
  await tryAll(open, (failure) => failure && "cannot be imported: " + failure.message)
  await tryAll(closed, (failure) =>
    failure === undefined ? "can be imported, and is closed"
    : failure.code === "ERR_PACKAGE_PATH_NOT_EXPORTED" ? undefined : "fails otherwise than closed: " + failure.message)
  if (wrong.length > 0) console.error(wrong.join("\\n"))
  process.exit(wrong.length > 0 ? 1 : 0)
`

/**
 * Unpacks a tarball where nothing but its dependencies is installed, and tries all its paths. `directory` is the
 * package's own, which has these dependencies.
 */
export const check = (tarball, directory, out) => {
  const { name } = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8"))
  const modules = path.join(out, "installed", "node_modules")
  const installed = path.join(modules, name)
  fs.mkdirSync(installed, { recursive: true })
  const unpacked = spawnSync("tar", ["-xzf", tarball, "-C", installed, "--strip-components=1"], { stdio: "inherit" })
  if (unpacked.status !== 0) return false
  const { dependencies, peerDependencies } = JSON.parse(fs.readFileSync(path.join(installed, "package.json"), "utf8"))
  for (const dependency of Object.keys({ ...dependencies, ...peerDependencies })) {
    const link = path.join(modules, dependency)
    fs.mkdirSync(path.dirname(link), { recursive: true })
    fs.symlinkSync(fs.realpathSync(path.join(directory, "node_modules", dependency)), link, "junction")
  }
  const all = modulesOf(installed)
  const paths = {
    open: [name, ...all.filter((file) => !isClosed(file) && file !== "index").map((file) => `${name}/${file}`)],
    closed: all.filter(isClosed).map((file) => `${name}/${file}`)
  }
  const { status } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", program, JSON.stringify(paths)],
    { cwd: path.join(out, "installed"), stdio: "inherit" }
  )
  if (status === 0) {
    console.log(`${name}: ${paths.open.length} public paths can be imported, ${paths.closed.length} closed ones cannot`)
  }
  return status === 0 && checkDeclarations(name, paths.open, path.join(out, "installed"))
}

/** Types that are reached only through a member of an exported one. */
const reached = [
  "(options: import(\"@sluice/core/destinations/Tus\").Options) => options.offer",
  "(options: import(\"@sluice/core/AdaptiveConcurrency\").Options) => options.onWindow",
  "(run: import(\"@sluice/core/UploadRun\").UploadRun) => run.limits",
  "(recorder: import(\"@sluice/core/testing/History\").Recorder) => recorder.watch"
]

/**
 * Whether the declarations of a package that uses this one name only its public paths: it exports all values of every
 * module, with inferred types.
 */
const checkDeclarations = (name, open, directory) => {
  const source = path.join(directory, "consumer.ts")
  const { stdout } = spawnSync(
    process.execPath,
    [
      "--input-type=module",
      "--eval",
      "for (const name of JSON.parse(process.argv[1])) for (const key of Object.keys(await import(name))) " +
      "console.log(JSON.stringify([name, key]))",
      JSON.stringify(open.filter((module) => module !== name))
    ],
    { cwd: directory, encoding: "utf8" }
  )
  const values = stdout.trim().split("\n").map((line) => JSON.parse(line))
  const modules = [...new Set(values.map(([module]) => module))]
  fs.writeFileSync(
    source,
    [
      ...modules.map((module, i) => `import * as M${i} from ${JSON.stringify(module)}`),
      ...values.map(([module, key], i) => `export const value${i} = M${modules.indexOf(module)}.${key}`),
      ...reached.map((type, i) => `export const reached${i} = ${type}`)
    ].join("\n")
  )
  fs.writeFileSync(path.join(directory, "package.json"), JSON.stringify({ type: "module" }))
  const options = {
    declaration: true,
    emitDeclarationOnly: true,
    exactOptionalPropertyTypes: true,
    lib: ["lib.es2023.d.ts"],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    skipLibCheck: true,
    strict: true,
    target: ts.ScriptTarget.ES2022,
    types: []
  }
  const compiled = ts.createProgram([source], options)
  let declarations = ""
  const { diagnostics } = compiled.emit(compiled.getSourceFile(source), (file, text) => {
    if (file.endsWith("consumer.d.ts")) declarations = text
  })
  const problems = [...ts.getPreEmitDiagnostics(compiled), ...diagnostics].map(({ messageText }) =>
    ts.flattenDiagnosticMessageText(messageText, "\n")
  )
  const closed = declarations.match(/[^\s"]*\binternal\/[^\s"]*/g) ?? []
  const unsafe = declarations.match(/\bunsafe\w+/g) ?? []
  for (const problem of new Set([...problems, ...closed.map((path) => `declarations name ${path}`), ...unsafe])) {
    console.error(`${name}: ${problem}`)
  }
  const isGood = declarations !== "" && problems.length + closed.length + unsafe.length === 0
  if (isGood) console.log(`${name}: declarations of ${values.length} values name public paths only`)
  return isGood
}
