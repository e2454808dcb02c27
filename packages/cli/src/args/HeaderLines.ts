/**
 * Parses headers as users write them: `Name: value`. Headers in flags must not hold secrets; those in
 * `SLUICE_HTTP_HEADERS`, one per line, may.
 */
import * as Either from "effect/Either"

/** Headers by their lower-case names. */
export type Headers = Readonly<Record<string, string>>

/**
 * Parses the headers of flags; `takesSecrets` says whether the destination also gets those of `SLUICE_HTTP_HEADERS`.
 */
export const fromFlags = (
  lines: ReadonlyArray<string>,
  { takesSecrets = true }: { readonly takesSecrets?: boolean | undefined } = {}
): Either.Either<Headers, string> =>
  Either.map(
    Either.all(lines.map((line) =>
      Either.flatMap(
        Either.mapLeft(parse(line), (problem) =>
          problem === "form"
            // The text may be part of a secret, so the message does not repeat it.
            ? "--header takes a name and a value, such as \"X-Team: apollo\"."
            : `--header: ${problem} cannot be set: the request sets it itself.`),
        ([name, value]) =>
          secretName.test(name)
            ? Either.left(
              `--header: ${name} looks like a secret. Other users of this machine could read it here. ${
                takesSecrets ? secretsGo(name) : "Objects in S3 are stored without secrets."
              }`
            )
            : Either.right([name, value] as const)
      )
    )),
    Object.fromEntries
  )

/** Parses the headers of `SLUICE_HTTP_HEADERS`, one per line. Messages name only the number of a line. */
export const fromEnvironment = (text: string): Either.Either<Headers, string> =>
  Either.map(
    Either.all(
      text.split(/\r?\n/).flatMap((line, index) =>
        line.trim() === "" ? [] : [
          Either.mapLeft(parse(line), (problem) =>
            problem === "form"
              ? `SLUICE_HTTP_HEADERS: line ${index + 1} is not a header, such as "X-Api-Key: …".`
              : `SLUICE_HTTP_HEADERS: ${problem} cannot be set: the request sets it itself.`)
        ]
      )
    ),
    Object.fromEntries
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const secretsGo = (name: string): string =>
  name === "authorization"
    ? "Set SLUICE_HTTP_TOKEN, or SLUICE_HTTP_USER and SLUICE_HTTP_PASSWORD, or put it into SLUICE_HTTP_HEADERS in the " +
      "environment."
    : "Put it into SLUICE_HTTP_HEADERS in the environment."

const parse = (line: string): Either.Either<readonly [name: string, value: string], string> => {
  const [, name = "", value = ""] = /^([!#$%&'*+.^_`|~\w-]+):\s*(.*?)\s*$/.exec(line.trim()) ?? []
  if (name === "" || /[^\t\x20-\x7e\x80-\xff]/.test(value)) return Either.left("form")
  return ofTheRequest.test(name) ? Either.left(name.toLowerCase()) : Either.right([name.toLowerCase(), value])
}

/** Matches names of headers that hold secrets. */
const secretName = /authorization|cookie|token|secret|passw|api-?key|customer-key|credential|signature|session|x-auth/

/** Headers that say where a request goes and how long it is: only the client and the driver set them. */
const ofTheRequest =
  /^(host|connection|keep-alive|proxy-connection|content-length|transfer-encoding|te|trailer|upgrade|expect|content-range|tus-resumable|upload-(offset|length|defer-length|concat|checksum|metadata))$/i
