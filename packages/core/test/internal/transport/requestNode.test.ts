import { assert, describe, it } from "@effect/vitest"
import { flat } from "../../../src/internal/transport/requestNode.js"

describe("the headers of an answer", () => {
  it("are strings; repeated ones are joined", () => {
    assert.deepStrictEqual(flat({ etag: "x", via: "y" }), { etag: "x", via: "y" })
    assert.deepStrictEqual(flat({ via: ["a", "b"] }), { via: "a, b" })
    assert.deepStrictEqual(flat({ etag: "x", via: ["a", "b"], age: undefined }), { etag: "x", via: "a, b" })
    assert.deepStrictEqual(flat({ age: undefined }), {})
    assert.deepStrictEqual(flat({}), {})
  })
})
