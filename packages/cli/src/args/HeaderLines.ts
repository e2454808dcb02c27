/**
 * Headers as people write them, `Name: value`. Those of flags may hold no secrets; those of `SLUICE_HTTP_HEADERS`, one a
 * line, may.
 */
import * as Either from "effect/Either"

/** Headers by their names, in lower case. */
export type Headers = Readonly<Record<string, string>>

/** The headers of flags; `takesSecrets` says whether those of `SLUICE_HTTP_HEADERS` are sent there, too. */
export const fromFlags = (
  lines: ReadonlyArray<string>,
  { takesSecrets = true }: { readonly takesSecrets?: boolean | undefined } = {}
): Either.Either<Headers, string> =>
  Either.map(
    Either.all(lines.map((line) =>
      Either.flatMap(
        Either.mapLeft(parse(line), (problem) =>
          problem === "form"
            // What is no header may be half of a secret.
            ? "--header takes a name and a value, such as \"X-Team: apollo\"."
            : `--header: ${problem} is not for you to set: it belongs to the request.`),
        ([name, value]) =>
          secretName.test(name)
            ? Either.left(
              `--header: ${name} looks like a secret, which others on this machine could read here. ${
                takesSecrets ? secretsGo(name) : "Objects in S3 are stored with none."
              }`
            )
            : Either.right([name, value] as const)
      )
    )),
    Object.fromEntries
  )

/** The headers of `SLUICE_HTTP_HEADERS`, one a line. No message says more of a line than its number. */
export const fromEnvironment = (text: string): Either.Either<Headers, string> =>
  Either.map(
    Either.all(
      text.split(/\r?\n/).flatMap((line, index) =>
        line.trim() === "" ? [] : [
          Either.mapLeft(parse(line), (problem) =>
            problem === "form"
              ? `SLUICE_HTTP_HEADERS: line ${index + 1} is no header, such as "X-Api-Key: …".`
              : `SLUICE_HTTP_HEADERS: ${problem} is not for you to set: it belongs to the request.`)
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

/** What names of headers with secrets have in them. */
const secretName = /authorization|cookie|token|secret|passw|api-?key|customer-key|credential|signature|session|x-auth/

/** What says where a request goes and how long it is: the client and the driver know better. */
const ofTheRequest =
  /^(host|connection|keep-alive|proxy-connection|content-length|transfer-encoding|te|trailer|upgrade|expect|content-range|tus-resumable|upload-(offset|length|defer-length|concat|checksum|metadata))$/i
