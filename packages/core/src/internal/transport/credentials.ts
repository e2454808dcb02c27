/**
 * Values of the `Authorization` header.
 */
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"

export type Credentials = Redacted.Redacted<string>

export const bearer = (token: Redacted.Redacted<string>): Credentials =>
  Redacted.make(`Bearer ${Redacted.value(token)}`)

export const basic = (user: string, password: Redacted.Redacted<string>): Credentials =>
  Redacted.make(`Basic ${Encoding.encodeBase64(`${user}:${Redacted.value(password)}`)}`)
