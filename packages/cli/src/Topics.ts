/**
 * The help texts of all commands.
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

/**
 * The topic of a command, by its full name, such as `uploads ls`; the topic of `sluice` itself if there is no such
 * command.
 */
export const of = (command: string | undefined): Help.Topic => topics.get(command ?? "") ?? sluice

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const flagsOf = <Name extends string, R, E, A>(command: Command.Command<Name, R, E, A>): HelpDoc.HelpDoc =>
  Command.getHelp(command, CliConfig.make({ showBuiltIns: false }))

const destinations: ReadonlyArray<Help.Entry> = [
  ["backup, file:///mnt/backup", "a directory"],
  ["s3://bucket/prefix", "a bucket in AWS S3, or with --endpoint in R2, B2, MinIO, Ceph, Swift or GCS"],
  ["tus+https://host/files/", "a server that speaks tus, the protocol for resumable uploads"],
  ["https://host/files", "a server that accepts PUT; {key} in the address stands for the key"],
  ["https://host/app.tgz?X-Amz-Signature=…", "one object at exactly this address, for one file"],
  ["sim:?latency=20ms&bandwidth=10MB/s&failures=5%&seed=1", "a simulated network; nothing is stored"]
]

const environment: ReadonlyArray<Help.Entry> = [
  ["AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN", "the credentials for S3"],
  [
    "AWS_PROFILE",
    "the AWS profile to use for credentials; if neither keys nor a profile are set, AWS's other credential sources " +
    "are used: " +
    "the default profile, SSO, web identity, " +
    "containers, instances"
  ],
  [
    "AWS_REGION, AWS_ENDPOINT_URL_S3, AWS_CA_BUNDLE",
    "the region, the endpoint and the certificate authorities for S3, unless flags set them; region and " +
    "endpoint_url default to those of the profile in ~/.aws/config"
  ],
  ["SLUICE_HTTP_TOKEN", "a bearer token for HTTP and tus servers"],
  ["SLUICE_HTTP_USER, SLUICE_HTTP_PASSWORD", "a user and a password for HTTP and tus servers, instead of a token"],
  ["SLUICE_HTTP_HEADERS", "headers for HTTP and tus servers, one per line; they may hold secrets"],
  ["HTTPS_PROXY, HTTP_PROXY, ALL_PROXY", "the proxies to use, such as http://proxy:3128"],
  ["NO_PROXY", "hosts, addresses and networks to reach without a proxy"]
]

const stateDirectory: Help.Entry = [
  "XDG_STATE_HOME",
  "the directory for journals, which go into its subdirectory sluice; defaults to the user's state directory"
]

const sluice: Help.Topic = {
  synopsis: "sluice <command>",
  about: ["Uploads many files in parallel."],
  flags: HelpDoc.empty,
  more: [
    ["Commands", [
      ["upload", "uploads files and directories, and continues interrupted uploads"],
      ["verify", "compares uploaded files with their sources"],
      ["uploads ls", "lists uploads that were interrupted and kept"],
      ["uploads abort", "aborts such uploads, and removes their stored data"],
      ["doctor", "finds out whether uploads to a destination will work"],
      ["simulate", "predicts how long an upload would take, and which strategy is the fastest"]
    ]],
    ["Flags", [
      ["--help", "prints help; also after a command"],
      ["--version", "prints the version"],
      ["--completions bash|zsh|fish", "prints a script that completes commands and flags"]
    ]]
  ]
}

const uploadTopic: Help.Topic = {
  synopsis: "sluice upload <source>... <destination> [flags]",
  about: [
    "Uploads files and directories in parallel. The key of a file is its path relative to the directory, or its base " +
    "name if the file itself is named.",
    "Large files are uploaded in parts. After a crash or an interruption, running the same command again " +
    "continues where it stopped: parts and files that are already stored are not sent again.",
    "Pressing Ctrl-C once lets the uploads in flight finish, except large files, which the same command can continue " +
    "later; pressing it twice stops immediately. The report is always printed."
  ],
  get flags() {
    return flagsOf(upload)
  },
  more: [
    ["Destinations", destinations],
    ["Environment", [...environment, stateDirectory]],
    ["Exit codes", [
      ["0", "everything was uploaded"],
      ["1", "some files failed, output could not be written, or the limit on open files is too low"],
      ["2", "a flag or an argument is wrong"],
      ["3", "a source does not exist"],
      ["4", "the destination cannot be used: nothing was stored"],
      ["5", "the journal cannot be used, or another sluice is using it"],
      ["9", "no file was uploaded, and --error-on-no-transfer was given"],
      ["130", "stopped by Ctrl-C or SIGTERM"]
    ]],
    ["Examples", [
      ["sluice upload photos /mnt/backup", "copies a directory; run again, it continues where it stopped"],
      ["sluice upload photos s3://bucket/photos --region eu-central-1", "to S3"],
      ["sluice upload photos s3://bucket --endpoint https://minio.example.org:9000", "to your own server"],
      ["sluice upload a.jpg b.jpg https://host/files --rate 5/s", "two files to a server"],
      ["sluice upload site https://host/ --exclude .git --failed failed.ndjson", "lists the files that fail"],
      ["sluice upload --files-from failed.ndjson https://host/", "uploads just those"],
      ["sluice upload disk.img /mnt/backup --part-size 64MiB --memory 1GiB", "a large file in larger parts"],
      [
        "pg_dump shop | sluice upload - /mnt/backup/shop.sql",
        "standard input, under the last name in the destination path"
      ]
    ]]
  ]
}

const verifyTopic: Help.Topic = {
  synopsis: "sluice verify <source>... <destination> [flags]",
  about: [
    "Compares files and directories with their copies at a destination: by checksum if the destination reports one, " +
    "otherwise by reading both. Reports what is missing there, what is different, and what only the destination has.",
    "Files that only the destination has can be found if the source is a directory and the destination can " +
    "list its objects."
  ],
  get flags() {
    return flagsOf(verify)
  },
  more: [
    ["Environment", environment],
    ["Exit codes", [
      ["0", "the destination has all files, and no others"],
      ["1", "something is missing, different or extra, or could not be compared"],
      ["2", "a flag or an argument is wrong"],
      ["3", "a source does not exist"],
      ["4", "the destination cannot be used, or offers no way to compare"],
      ["130", "stopped by Ctrl-C or SIGTERM"]
    ]],
    ["Examples", [
      ["sluice verify photos /mnt/backup", "compares a directory with its copy"],
      ["sluice verify photos s3://bucket/photos", "compares a directory with a bucket"],
      ["sluice verify a.jpg https://host/files", "compares one file with the one on a server"],
      [
        "sluice verify photos tus+https://host/files/ --locations list",
        "compares with the addresses that upload recorded"
      ],
      ["sluice verify photos /mnt/backup --ignore-extra --json", "prints a line of JSON for each file"]
    ]]
  ]
}

const uploadsAbout =
  "The destination keeps large files that were interrupted, so that repeating the upload command continues them. " +
  "Journals in the user's state directory record them."

const uploadsTopic: Help.Topic = {
  synopsis: "sluice uploads <ls|abort> [flags]",
  about: [uploadsAbout],
  flags: HelpDoc.empty,
  more: [["Commands", [
    ["uploads ls", "lists interrupted uploads"],
    ["uploads abort", "aborts them, and removes their stored data"]
  ]]]
}

const lsTopic: Help.Topic = {
  synopsis: "sluice uploads ls [flags]",
  about: [`Lists uploads that were interrupted and kept. ${uploadsAbout}`],
  get flags() {
    return flagsOf(ls)
  },
  more: [["Environment", [stateDirectory]], ["Exit codes", [
    ["0", "everything was listed; journals that cannot be read were reported"],
    ["5", "the journal that was asked for cannot be read"]
  ]]]
}

const abortTopic: Help.Topic = {
  synopsis: "sluice uploads abort [<destination> [<key>...]] [flags]",
  about: [
    "Aborts uploads that were interrupted and kept, and removes their stored data, so that their files start over. " +
    "Affects only uploads in this user's journals, never those of a running process, and never a completed object.",
    "Without a destination, shows what could be aborted and does nothing."
  ],
  get flags() {
    return flagsOf(abort)
  },
  more: [
    ["Environment", [...environment, stateDirectory]],
    ["Exit codes", [
      ["0", "everything that was named was aborted"],
      ["1", "some uploads could not be aborted, or do not exist"],
      ["2", "nothing was named, or a flag is wrong"],
      ["5", "another sluice is using the journal"]
    ]],
    ["Examples", [
      ["sluice uploads abort", "shows what could be aborted"],
      ["sluice uploads abort /mnt/backup disk.img", "aborts one upload"],
      ["sluice uploads abort /mnt/backup", "aborts all uploads to a destination"],
      ["sluice uploads abort --all", "aborts all uploads"]
    ]]
  ]
}

const doctorTopic: Help.Topic = {
  synopsis: "sluice doctor <destination> [flags]",
  about: [
    "Finds out whether uploads to a destination will work, and says what to do if they will not. It connects to " +
    "the server, compares clocks, writes a small object, looks it up, reads it back, lists objects, starts a " +
    "multipart upload and aborts it, and removes what it has written.",
    "A finding reported as a problem makes uploads fail; one reported as a note does not."
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
      ["sluice doctor s3://bucket/photos", "a bucket in AWS, with the credentials from the environment"],
      ["sluice doctor s3://bucket --endpoint http://127.0.0.1:9000 --profile minio", "a bucket on your own server"]
    ]]
  ]
}

const simulateTopic: Help.Topic = {
  synopsis: "sluice simulate [<source>...] [flags]",
  about: [
    "Predicts how long uploads would take under each strategy, over the network that you describe, and recommends a " +
    "strategy. The real engine runs over a simulated network, in virtual time. It looks only at the names and " +
    "sizes of " +
    "files, and sends nothing.",
    "Without a source, it makes up files of random sizes. With neither a source nor a network, it compares four " +
    "strategies: all at once, a worker pool, a fixed rate of starts, and a rate that follows response times."
  ],
  get flags() {
    return flagsOf(simulate)
  },
  more: [
    ["Exit codes", [
      ["0", "a prediction was made"],
      ["2", "a flag or an argument is wrong"],
      ["3", "a source does not exist or is empty"]
    ]],
    ["Examples", [
      ["sluice simulate photos --link 100MiB/s --per-connection 10MiB/s --rtt 80ms", "a directory, over a wide link"],
      [
        "sluice simulate photos --errors 1% --throttle-above 40",
        "with requests that fail, and a server that refuses some"
      ],
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
