/**
 * The flags that say how to reach a destination and how to store objects there. Each applies only to some kinds of
 * destinations. Secrets are never flags: anyone who lists the processes of a machine can see them.
 */
import type * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import type { Provider } from "@sluice/core/destinations/S3"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Targets from "../targets/Targets.js"
import * as HeaderLines from "./HeaderLines.js"
import * as UploadOptions from "./UploadOptions.js"

const text = (name: string, placeholder: string, description: string) =>
  Options.text(name).pipe(
    Options.withPseudoName(placeholder),
    Options.withDescription(description),
    Options.optional
  )

export const providers = ["aws", "r2", "b2", "minio", "ceph", "swift", "gcs", "other"] as const satisfies ReadonlyArray<
  Provider
>

/** The flags that say how to reach a destination. */
export const reach = {
  endpoint: text(
    "endpoint",
    "URL",
    "The address of a server that speaks S3, such as https://minio.example.org:9000. Defaults to " +
      "AWS_ENDPOINT_URL_S3, " +
      "AWS_ENDPOINT_URL, the profile's endpoint, or AWS itself."
  ),
  region: text(
    "region",
    "REGION",
    "The region of the bucket. Defaults to AWS_REGION, AWS_DEFAULT_REGION, the profile's region, or the one that the " +
      "server reports."
  ),
  profile: text(
    "profile",
    "NAME",
    "The AWS profile with the credentials to use instead of those in the environment."
  ),
  provider: UploadOptions.decoded(
    "provider",
    "NAME",
    (name) => Option.fromNullable(providers.find((known) => known === name)),
    `one of ${providers.join(", ")}`
  ).pipe(
    Options.withDescription(
      `The kind of S3 server: ${providers.join(", ")}. Defaults to the provider that the endpoint belongs to.`
    )
  ),
  pathStyle: Options.boolean("path-style").pipe(
    Options.withDescription("Puts the bucket in the path of the URL. This is the default with --endpoint.")
  ),
  noPathStyle: Options.boolean("no-path-style").pipe(
    Options.withDescription("Puts the bucket in the host name, as AWS does: https://bucket.host/key.")
  ),
  header: Options.text("header").pipe(
    Options.withPseudoName("NAME: VALUE"),
    Options.withDescription(
      "A header for every request to an HTTP or tus server, and for every object in S3, such as " +
        "\"x-amz-tagging: team=apollo\". May be repeated. For HTTP and tus, headers with secrets go into " +
        "SLUICE_HTTP_HEADERS, one per line."
    ),
    Options.repeated
  ),
  ca: text(
    "ca",
    "FILE",
    "Trusts only the certificate authorities in this PEM file. For S3, defaults to AWS_CA_BUNDLE."
  ),
  noVerifyTls: Options.boolean("no-verify-tls").pipe(
    Options.withDescription(
      "Does not check the server's certificate, and warns: anyone on the network path can read and change everything."
    )
  )
}

/** How objects are stored. */
const storing = {
  storageClass: text("storage-class", "CLASS", "The storage class of objects in S3, such as STANDARD_IA."),
  acl: text("acl", "ACL", "The canned ACL of objects in S3, such as private or bucket-owner-full-control.")
}

const locations = (description: string) => ({
  locations: text("locations", "FILE", `${description} Anyone who knows an address may be able to read the object.`)
})

/** The destination flags that `sluice upload` takes in addition to its own. */
export const upload = {
  ...reach,
  ...storing,
  ...locations(
    "Appends to this file the address that a tus server gives each upload, one line of JSON each, for sluice verify."
  ),
  cacheControl: text("cache-control", "TEXT", "The Cache-Control header of objects in S3, such as max-age=86400."),
  metadata: Options.text("metadata").pipe(
    Options.withPseudoName("KEY=VALUE"),
    Options.withDescription("Metadata that S3 or a tus server keeps with every object. May be repeated."),
    Options.repeated
  ),
  ifAbsent: Options.boolean("if-absent").pipe(
    Options.withDescription(
      "Does not replace existing objects, in S3 and on HTTP servers that honour If-None-Match: a file whose key " +
        "is taken " +
        "fails."
    )
  )
}

/** The destination flags that `sluice verify` takes in addition to its own. */
export const verify = {
  ...reach,
  ...locations("The file, written by sluice upload --locations, that lists the addresses of objects on a tus server.")
}

/** The destination flags that `sluice doctor` takes in addition to its own. */
export const doctor = { ...reach, ...storing }

/** The decoded flags that say how to reach a destination. */
export type Reach = Command.Command.ParseConfig<typeof reach>

/** All of these flags; every command has at least those of {@link Reach}. */
export type Flags = Reach & Partial<Command.Command.ParseConfig<typeof upload>> & { readonly contentRange?: boolean }

/** The decoded and combined flags. */
export interface Settings {
  readonly region: string | undefined
  readonly profile: string | undefined
  readonly provider: Provider | undefined
  readonly pathStyle: boolean | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly ca: string | undefined
  readonly verifyTls: boolean
  readonly storageClass: string | undefined
  readonly acl: string | undefined
  readonly cacheControl: string | undefined
  readonly metadata: Readonly<Record<string, string>>
  readonly ifAbsent: boolean
  readonly contentRange: boolean
  readonly locations: string | undefined
}

/**
 * Combines the flags for a destination. Refuses flags for other kinds, unless the flags are for several destinations at
 * once.
 */
export const settingsOf = (
  target: Targets.Target,
  flags: Flags,
  { forSeveral = false }: { readonly forSeveral?: boolean } = {}
): Either.Either<Settings, string> =>
  Either.gen(function*() {
    for (const [name, kinds, isGiven] of scopes) {
      if (!forSeveral && isGiven(flags) && !kinds.includes(target._tag)) {
        return yield* Either.left(
          `--${name} is for ${kinds.map((kind) => Targets.kinds[kind]).join(" and ")}, but the destination is ${
            whatIs[target._tag]
          }.`
        )
      }
    }
    if (flags.pathStyle && flags.noPathStyle) {
      return yield* Either.left("--path-style and --no-path-style contradict each other.")
    }
    if (flags.noVerifyTls && Option.isSome(flags.ca)) {
      return yield* Either.left("--ca and --no-verify-tls contradict each other.")
    }
    const optional = (value: Option.Option<string> | undefined) => Option.getOrUndefined(value ?? Option.none())
    return {
      region: optional(flags.region),
      profile: optional(flags.profile),
      provider: Option.getOrUndefined(flags.provider),
      pathStyle: flags.pathStyle ? true : flags.noPathStyle ? false : undefined,
      headers: yield* HeaderLines.fromFlags(flags.header, { takesSecrets: target._tag !== "S3" }),
      ca: optional(flags.ca),
      verifyTls: !flags.noVerifyTls,
      storageClass: optional(flags.storageClass),
      acl: optional(flags.acl),
      cacheControl: optional(flags.cacheControl),
      metadata: yield* metadataOf(flags.metadata ?? []),
      ifAbsent: flags.ifAbsent ?? false,
      contentRange: flags.contentRange ?? false,
      locations: optional(flags.locations)
    }
  })

/** The settings without any flags. */
export const defaults: Settings = {
  region: undefined,
  profile: undefined,
  provider: undefined,
  pathStyle: undefined,
  headers: {},
  ca: undefined,
  verifyTls: true,
  storageClass: undefined,
  acl: undefined,
  cacheControl: undefined,
  metadata: {},
  ifAbsent: false,
  contentRange: false,
  locations: undefined
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const whatIs: Readonly<Record<Targets.Kind, string>> = {
  Local: "a directory",
  S3: "in S3",
  Tus: "a tus server",
  Http: "an HTTP server",
  Simulated: "a simulated network"
}

type Scope = readonly [name: string, kinds: ReadonlyArray<Targets.Kind>, isGiven: (flags: Flags) => boolean]

const isSome = (option: Option.Option<unknown> | undefined): boolean => option !== undefined && Option.isSome(option)

const remote: ReadonlyArray<Targets.Kind> = ["S3", "Tus", "Http"]

/** The kinds of destinations that each flag applies to. */
const scopes: ReadonlyArray<Scope> = [
  ["endpoint", ["S3"], ({ endpoint }) => isSome(endpoint)],
  ["region", ["S3"], ({ region }) => isSome(region)],
  ["profile", ["S3"], ({ profile }) => isSome(profile)],
  ["provider", ["S3"], ({ provider }) => isSome(provider)],
  ["path-style", ["S3"], ({ pathStyle }) => pathStyle],
  ["no-path-style", ["S3"], ({ noPathStyle }) => noPathStyle],
  ["header", remote, ({ header }) => header.length > 0],
  ["ca", remote, ({ ca }) => isSome(ca)],
  ["no-verify-tls", remote, ({ noVerifyTls }) => noVerifyTls],
  ["storage-class", ["S3"], ({ storageClass }) => isSome(storageClass)],
  ["acl", ["S3"], ({ acl }) => isSome(acl)],
  ["cache-control", ["S3"], ({ cacheControl }) => isSome(cacheControl)],
  ["metadata", ["S3", "Tus"], ({ metadata = [] }) => metadata.length > 0],
  ["if-absent", ["S3", "Http"], ({ ifAbsent = false }) => ifAbsent],
  ["locations", ["Tus"], ({ locations }) => isSome(locations)],
  ["content-range", ["Http"], ({ contentRange = false }) => contentRange]
]

const metadataOf = (pairs: ReadonlyArray<string>): Either.Either<Record<string, string>, string> =>
  Either.map(
    Either.all(pairs.map((pair) => {
      const [, name, value] = /^([^=\s]+)=(.*)$/s.exec(pair) ?? []
      return name === undefined || value === undefined || /\p{Cc}/u.test(pair)
        ? Either.left(UploadOptions.wrongValue("--metadata", pair, "a name and a value, such as project=apollo"))
        : Either.right([name, value] as const)
    })),
    Object.fromEntries
  )
