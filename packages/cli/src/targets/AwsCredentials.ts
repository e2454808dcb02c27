/**
 * Credentials for S3: the keys in the environment, or those that the standard chain of AWS finds: profiles, SSO, web
 * identity, container, instance. The chain's modules are loaded only if the environment has no keys.
 *
 * As with the AWS command line, a profile named by a flag takes precedence over the environment, and the environment
 * over everything else. Error messages are our own wherever the cause could contain a secret.
 */
import type * as S3 from "@sluice/core/destinations/S3"
import { AuthExpired, Rejected } from "@sluice/core/UploadError"
import type { UploadError } from "@sluice/core/UploadError"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as AwsFiles from "./AwsFiles.js"

export interface Options {
  /** The profile that a flag names. */
  readonly profile: string | undefined
  readonly region: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Gets credentials: before the first request, and again whenever they have expired. */
export interface Source {
  /** Their source, in words. */
  readonly name: string
  readonly credentials: Effect.Effect<S3.Credentials, UploadError>
}

/** Finds the source of credentials. */
export const make = (options: Options): Source => {
  const { environment, profile, region } = options
  const accessKeyId = environment["AWS_ACCESS_KEY_ID"]
  const secretAccessKey = environment["AWS_SECRET_ACCESS_KEY"]
  const sessionToken = environment["AWS_SESSION_TOKEN"]
  if (profile === undefined && accessKeyId && secretAccessKey) {
    return {
      name: "the environment",
      credentials: Effect.succeed({
        accessKeyId,
        secretAccessKey: Redacted.make(secretAccessKey),
        sessionToken: sessionToken ? Redacted.make(sessionToken) : undefined
      })
    }
  }
  const named = profile ?? (environment["AWS_PROFILE"] || undefined)
  const name = named === undefined ? "the credentials chain of AWS" : `the profile ${JSON.stringify(named)}`
  let provider: Provider | undefined = undefined
  return {
    name,
    // The chain reads the paths of its files from the environment of the process.
    credentials: Effect.zipRight(
      readAgain,
      Effect.tryPromise({
        try: async () => {
          const isFirst = provider === undefined
          provider ??= await chain(named, region)
          // A second call means that the last credentials have expired.
          const found = await provider(isFirst ? {} : { forceRefresh: true })
          return {
            accessKeyId: found.accessKeyId,
            secretAccessKey: Redacted.make(found.secretAccessKey),
            sessionToken: found.sessionToken === undefined ? undefined : Redacted.make(found.sessionToken),
            expiresAt: found.expiration?.getTime()
          }
        },
        catch: (cause) => whyNone(cause, named)
      })
    )
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Reads the files again: new session keys may have been written there since. */
const readAgain = Effect.mapError(
  Effect.suspend(() => AwsFiles.prepare(process.env)),
  ({ message }) => new Rejected({ reason: "Unauthorized", detail: message })
)

type Provider = (options: { readonly forceRefresh?: boolean }) => Promise<{
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  readonly expiration?: Date | undefined
}>

/** Silences console warnings of the chain that do not concern the user. */
const silent = { trace: () => {}, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

const chain = async (profile: string | undefined, region: string | undefined): Promise<Provider> => {
  const { fromNodeProviderChain } = await import("@aws-sdk/credential-providers")
  return fromNodeProviderChain({
    logger: silent,
    ...(profile !== undefined && { profile: AwsFiles.alias(profile) }),
    ...(region !== undefined && { clientConfig: { region } })
  })
}

/** Errors of the chain whose messages are meant for users. Others may quote text that could not be read. */
const tellable = new Set(["CredentialsProviderError", "TokenProviderError", "AccessDenied", "AccessDeniedException"])

const whyNone = (cause: unknown, profile: string | undefined): UploadError => {
  const name = Predicate.hasProperty(cause, "name") ? String(cause.name) : ""
  const said = cause instanceof Error ? cause.message.replaceAll(AwsFiles.alias(profile ?? ""), profile ?? "") : ""
  const message = cause instanceof Error ? said.replace(/[\p{Cc}\s]+/gu, " ").trim().slice(0, 300) : ""
  if (/expired|refresh failed|sso session/i.test(message) && tellable.has(name)) {
    return new AuthExpired({
      detail: `The session${profile === undefined ? "" : ` of the profile ${JSON.stringify(profile)}`} has expired. ` +
        `Sign in again: aws sso login${profile === undefined ? "" : ` --profile ${quoted(profile)}`}.`
    })
  }
  if (profile === undefined && message.startsWith("Could not load credentials")) return none
  if (message.startsWith("Could not load credentials")) {
    return new Rejected({
      reason: "Unauthorized",
      detail:
        `There are no credentials for S3: the profile ${
          JSON.stringify(profile)
        } does not exist, or its credentials do ` +
        "not work. The AWS profiles are in ~/.aws/config and ~/.aws/credentials."
    })
  }
  const from = profile === undefined ? "AWS provides none" : `The profile ${JSON.stringify(profile)} provides none`
  const why = message.startsWith("Command failed") || message.includes("credential_process")
    ? "its credential_process failed"
    : tellable.has(name) && message !== ""
    ? message.replace(/\.$/, "")
    : name === ""
    ? "it cannot be read"
    : `it cannot be read (${name})`
  return new Rejected({
    reason: "Unauthorized",
    detail: `There are no credentials for S3. ${from}: ${why}.`
  })
}

const quoted = (name: string): string => /^[\w@+.%:/-]+$/.test(name) ? name : JSON.stringify(name)

const none = new Rejected({
  reason: "Unauthorized",
  detail: "There are no credentials for S3. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or " +
    "name a profile with --profile or AWS_PROFILE."
})
