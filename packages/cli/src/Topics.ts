/**
 * What `--help` says of each command.
 */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import type * as Help from "./args/Help.js"
import { doctor } from "./commands/doctor.js"
import { simulate } from "./commands/simulate.js"
import { upload } from "./commands/upload.js"
import { abort, ls } from "./commands/uploads.js"
import { verify } from "./commands/verify.js"

/** The topic of a command by its words, and of `sluice` itself where there is no such command. */
export const of = (command: string | undefined): Help.Topic => topics.get(command ?? "") ?? sluice

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const flagsOf = <Name extends string, R, E, A>(command: Command.Command<Name, R, E, A>): HelpDoc.HelpDoc =>
  Command.getHelp(command, CliConfig.make({ showBuiltIns: false }))

const destinations: ReadonlyArray<Help.Entry> = [
  ["backup, file:///mnt/backup", "a directory"],
  ["s3://bucket/prefix", "a bucket of AWS S3, or with --endpoint of R2, B2, MinIO, Ceph, Swift, GCS"],
  ["tus+https://host/files/", "a server that speaks tus, the protocol for resumable uploads"],
  ["https://host/files", "a server that takes PUT; {key} in the address stands for the key"],
  ["https://host/app.tgz?X-Amz-Signature=…", "one object, under just that address, for one file"],
  ["sim:?latency=20ms&bandwidth=10MB/s&failures=5%&seed=1", "a simulated network; nothing is stored"]
]

const environment: ReadonlyArray<Help.Entry> = [
  ["AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN", "who asks S3"],
  [
    "AWS_PROFILE",
    "or a profile; without either, whatever else AWS has: the default profile, SSO, web identity, container, instance"
  ],
  [
    "AWS_REGION, AWS_ENDPOINT_URL_S3, AWS_CA_BUNDLE",
    "for S3, where the flags say nothing; then region and endpoint_url of the profile, in ~/.aws/config"
  ],
  ["SLUICE_HTTP_TOKEN", "a bearer token for HTTP and tus servers"],
  ["SLUICE_HTTP_USER, SLUICE_HTTP_PASSWORD", "or a user and a password"],
  ["SLUICE_HTTP_HEADERS", "headers for HTTP and tus servers that may hold secrets, one a line"],
  ["HTTPS_PROXY, HTTP_PROXY, ALL_PROXY", "the proxies to go by, such as http://proxy:3128"],
  ["NO_PROXY", "hosts, addresses and networks to reach without"]
]

const stateDirectory: Help.Entry = [
  "XDG_STATE_HOME",
  "where journals are kept, in the directory sluice; by default the user's directory for state"
]

const sluice: Help.Topic = {
  synopsis: "sluice <command>",
  about: ["Uploads many files in parallel."],
  flags: HelpDoc.empty,
  more: [
    ["Commands", [
      ["upload", "uploads files and directories, and goes on with what was interrupted"],
      ["verify", "compares what was uploaded with where it came from"],
      ["uploads ls", "lists uploads that were interrupted and kept"],
      ["uploads abort", "aborts them, and removes what is stored of them"],
      ["doctor", "finds out whether uploads to a destination will work"],
      ["simulate", "predicts how long an upload would take, and with which strategy it is quickest"]
    ]],
    ["Flags", [
      ["--help", "help; also after a command"],
      ["--version", "the version"],
      ["--completions bash|zsh|fish", "a script that completes commands and flags"]
    ]]
  ]
}

const uploadTopic: Help.Topic = {
  synopsis: "sluice upload <source>... <destination> [flags]",
  about: [
    "Uploads files and directories in parallel. Keys are the paths of files relative to their directory, and the base " +
    "names of files that are named one by one.",
    "Large files go up in parts. After a crash, or when it was stopped, the same command goes on where it was: parts and " +
    "files that are stored are not sent again.",
    "Ctrl-C once finishes what is in flight, but for large files that the same command can go on with; twice stops at " +
    "once. The report is printed in every case."
  ],
  get flags() {
    return flagsOf(upload)
  },
  more: [
    ["Destinations", destinations],
    ["Environment", [...environment, stateDirectory]],
    ["Exit codes", [
      ["0", "everything was uploaded"],
      ["1", "some files failed, what was to be told could not be written, or too few files may be open"],
      ["2", "a flag or an argument is wrong"],
      ["3", "a source is not there"],
      ["4", "the destination cannot be used: nothing was stored"],
      ["5", "the journal cannot be used, or another sluice is using it"],
      ["9", "no file was uploaded, with --error-on-no-transfer"],
      ["130", "stopped by Ctrl-C or SIGTERM"]
    ]],
    ["Examples", [
      ["sluice upload photos /mnt/backup", "a directory to another one; again, it goes on where it was stopped"],
      ["sluice upload photos s3://bucket/photos --region eu-central-1", "to S3"],
      ["sluice upload photos s3://bucket --endpoint https://minio.example.org:9000", "to a server of your own"],
      ["sluice upload a.jpg b.jpg https://host/files --rate 5/s", "two files to a server"],
      ["sluice upload site https://host/ --exclude .git --failed failed.ndjson", "and list what fails"],
      ["sluice upload --files-from failed.ndjson https://host/", "and upload just that"],
      ["sluice upload disk.img /mnt/backup --part-size 64MiB --memory 1GiB", "a large file in larger parts"],
      ["pg_dump shop | sluice upload - /mnt/backup/shop.sql", "standard input, under the last name of the destination"]
    ]]
  ]
}

const verifyTopic: Help.Topic = {
  synopsis: "sluice verify <source>... <destination> [flags]",
  about: [
    "Compares files and directories with what a destination has of them: by checksum where the destination tells one, " +
    "else by reading both. Says what is missing there, what is different, and what only the destination has.",
    "What only the destination has is looked for where a directory is named, and the destination can list what it has."
  ],
  get flags() {
    return flagsOf(verify)
  },
  more: [
    ["Environment", environment],
    ["Exit codes", [
      ["0", "the destination has all of it, and nothing else"],
      ["1", "something is missing, different, too much or could not be compared"],
      ["2", "a flag or an argument is wrong"],
      ["3", "a source is not there"],
      ["4", "the destination cannot be used, or cannot be compared with"],
      ["130", "stopped by Ctrl-C or SIGTERM"]
    ]],
    ["Examples", [
      ["sluice verify photos /mnt/backup", "a directory with its copy"],
      ["sluice verify photos s3://bucket/photos", "a directory with what a bucket has"],
      ["sluice verify a.jpg https://host/files", "one file with what a server has"],
      [
        "sluice verify photos tus+https://host/files/ --locations list",
        "with what a tus server has, as upload listed it"
      ],
      ["sluice verify photos /mnt/backup --ignore-extra --json", "a line of JSON for each file"]
    ]]
  ]
}

const uploadsAbout =
  "Large files that were interrupted are kept at the destination, for the same command to go on with. " +
  "Journals in the user's directory for state tell of them."

const uploadsTopic: Help.Topic = {
  synopsis: "sluice uploads <ls|abort> [flags]",
  about: [uploadsAbout],
  flags: HelpDoc.empty,
  more: [["Commands", [
    ["uploads ls", "lists them"],
    ["uploads abort", "aborts them, and removes what is stored of them"]
  ]]]
}

const lsTopic: Help.Topic = {
  synopsis: "sluice uploads ls [flags]",
  about: [`Lists uploads that were interrupted and kept. ${uploadsAbout}`],
  get flags() {
    return flagsOf(ls)
  },
  more: [["Environment", [stateDirectory]], ["Exit codes", [
    ["0", "all is told; journals that cannot be read are, too"],
    ["5", "the journal that was asked for cannot be read"]
  ]]]
}

const abortTopic: Help.Topic = {
  synopsis: "sluice uploads abort [<destination> [<key>...]] [flags]",
  about: [
    "Aborts uploads that were interrupted and kept: what is stored of them is removed, and their files begin again. Only " +
    "what is in this user's journals is touched, never what a running upload is at, and no object that is complete.",
    "Without a destination it shows what there is, and does nothing."
  ],
  get flags() {
    return flagsOf(abort)
  },
  more: [
    ["Environment", [...environment, stateDirectory]],
    ["Exit codes", [
      ["0", "what was named is aborted"],
      ["1", "some of it could not be aborted, or is not there"],
      ["2", "nothing was named, or a flag is wrong"],
      ["5", "another sluice is using the journal"]
    ]],
    ["Examples", [
      ["sluice uploads abort", "what could be aborted"],
      ["sluice uploads abort /mnt/backup disk.img", "one upload"],
      ["sluice uploads abort /mnt/backup", "all to a destination"],
      ["sluice uploads abort --all", "all there are"]
    ]]
  ]
}

const doctorTopic: Help.Topic = {
  synopsis: "sluice doctor <destination> [flags]",
  about: [
    "Finds out whether uploads to a destination will work, and says what to do where they will not: it reaches the " +
    "server, compares clocks, writes a small object, looks at it, reads it back, lists, begins an upload in parts and " +
    "aborts it, and removes what it has written.",
    "A problem makes uploads fail. A note is something they can do without."
  ],
  get flags() {
    return flagsOf(doctor)
  },
  more: [
    ["Destinations", destinations.slice(0, -1)],
    ["Environment", environment],
    ["Exit codes", [
      ["0", "uploads will work"],
      ["2", "a flag or an argument is wrong"],
      ["4", "uploads will not work"]
    ]],
    ["Examples", [
      ["sluice doctor s3://bucket/photos", "a bucket of AWS, with the credentials of the environment"],
      ["sluice doctor s3://bucket --endpoint http://127.0.0.1:9000 --profile minio", "one of a server of your own"]
    ]]
  ]
}

const simulateTopic: Help.Topic = {
  synopsis: "sluice simulate [<source>...] [flags]",
  about: [
    "Predicts how long files would take to go up under each strategy, over a network that is described, and says which " +
    "to take. The real engine runs over a simulated network, in virtual time. Of the files only names and sizes are " +
    "looked at; nothing is sent.",
    "Without a source, files of random sizes are made up. Without a source and a network it compares four strategies: " +
    "all at once, a worker pool, a fixed rate of starts, and a rate that follows response times."
  ],
  get flags() {
    return flagsOf(simulate)
  },
  more: [
    ["Exit codes", [
      ["0", "there is a prediction"],
      ["2", "a flag or an argument is wrong"],
      ["3", "a source is not there, or there is nothing in it"]
    ]],
    ["Examples", [
      ["sluice simulate photos --link 100MiB/s --per-connection 10MiB/s --rtt 80ms", "a directory, over a wide link"],
      ["sluice simulate photos --errors 1% --throttle-above 40", "where requests fail, and a server that refuses some"],
      ["sluice simulate photos --strategy adaptive --svg photos.svg", "one strategy, as a picture"],
      [
        "sluice simulate --files 2000 --max-size 1MB --link 100MB/s,25MB/s@30s",
        "made-up files, and a link that changes"
      ],
      ["sluice simulate", "four strategies side by side"]
    ]]
  ]
}

const topics: ReadonlyMap<string, Help.Topic> = new Map([
  ["upload", uploadTopic],
  ["verify", verifyTopic],
  ["uploads", uploadsTopic],
  ["uploads ls", lsTopic],
  ["uploads abort", abortTopic],
  ["doctor", doctorTopic],
  ["simulate", simulateTopic]
])
