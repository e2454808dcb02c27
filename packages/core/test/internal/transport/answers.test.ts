import { assert, describe, it } from "@effect/vitest"
import * as HttpAnswers from "../../../src/internal/transport/answers.js"
import { masking } from "../../../src/internal/transport/masking.js"

const secret = "CANARY of the address"

const told = (body: string): string =>
  HttpAnswers.refused(
    "http://host",
    { status: 403, headers: {}, body: new TextEncoder().encode(body) },
    masking(secret),
    0
  ).message

describe("what a server says", () => {
  it("is shown without tags and breaks, and without secrets wherever those are", () => {
    assert.include(told("<h1>No</h1>\r\n<p>not\tyou</p>"), ": No not you")
    assert.include(told(`no ${secret} here`), ": no <redacted> here")
    assert.include(told("<a href='x'>no</a> <b>CANARY</b> of\nthe <i>address</i>"), ": no <redacted>")
  })

  it("is shown without secrets that are cut off", () => {
    const long = told(`${"<br/>".repeat(408)} ${secret}`)
    assert.notInclude(long, "CANARY")
  })
})
