/**
 * The floors of a package: which modules and which rooms stand on each. AGENTS.md prints both tables as they are here.
 */

export interface Floor {
  readonly name: string
  /** Modules by name, or `folder/*` for all modules of a folder; folders in it are not meant. */
  readonly modules: ReadonlyArray<string>
  /** Folders whose modules cannot be imported from outside the package. */
  readonly rooms: ReadonlyArray<string>
}

/** The floors of core, from above. Imports point down, or sideways on the same floor. */
export const core: ReadonlyArray<Floor> = [
  {
    name: "test kit",
    modules: ["testing/*"],
    rooms: ["testing/internal/faults", "testing/internal/history"]
  },
  {
    name: "drivers",
    modules: ["destinations/*"],
    rooms: ["http", "local", "s3", "simulated", "tus"].map((driver) => `destinations/internal/${driver}`)
  },
  { name: "many files", modules: ["Uploader", "UploadRun"], rooms: ["internal/engine"] },
  { name: "one file", modules: [], rooms: ["internal/upload", "internal/bytes"] },
  {
    name: "ports and policies",
    modules: [
      "Destination",
      "Journal",
      "Transport",
      "FilesNode",
      "JournalNode",
      "JournalStore",
      "MachineNode",
      "TransportNode",
      "AdaptiveConcurrency",
      "AdaptiveRate",
      "Limits",
      "RetryPolicy",
      "Strategy",
      "UploadMetrics",
      "unstable/*"
    ],
    rooms: ["internal/calls", "internal/disk", "internal/journal", "internal/limits", "internal/transport"]
  },
  {
    name: "values",
    modules: [
      "ByteSize",
      "ByteSource",
      "Checksum",
      "ObjectKey",
      "Progress",
      "Throughput",
      "UploadError",
      "UploadEvent",
      "UploadFile",
      "UploadList",
      "UploadReport",
      "UploadResult"
    ],
    rooms: ["internal/values"]
  }
]

/** The floors of the command line, from above. */
export const cli: ReadonlyArray<Floor> = [
  { name: "program", modules: ["bin", "main", "Cli", "Topics"], rooms: [] },
  { name: "commands", modules: ["commands/*"], rooms: [] },
  {
    name: "jobs",
    modules: [],
    rooms: ["args", "doctor", "journals", "simulate", "sources", "targets", "terminal", "upload", "verify"]
  },
  { name: "ground", modules: ["CliError", "OpenFiles", "UserHome"], rooms: [] }
]

/** The room that a module is in, or the public folder. */
export const folderOf = (module: string): string => module.split("/").slice(0, -1).join("/")

/** The floor of a module, 0 being the lowest; `undefined` if no floor has it. */
export const floorOf = (floors: ReadonlyArray<Floor>, module: string): number | undefined => {
  const folder = folderOf(module)
  const index = floors.findIndex(({ modules, rooms }) =>
    modules.includes(module) || (folder !== "" && modules.includes(`${folder}/*`)) || rooms.includes(folder)
  )
  return index < 0 ? undefined : floors.length - 1 - index
}

/** The table as Markdown. */
export const table = (floors: ReadonlyArray<Floor>): string => {
  const code = (names: ReadonlyArray<string>) => names.map((name) => `\`${name}\``).join(" ")
  return [
    "| floor | modules | rooms |",
    "|---|---|---|",
    ...floors.map(({ modules, name, rooms }, index) =>
      `| ${floors.length - 1 - index} ${name} | ${code(modules)} | ${code(rooms)} |`.replaceAll("  ", " ")
    )
  ].join("\n")
}
