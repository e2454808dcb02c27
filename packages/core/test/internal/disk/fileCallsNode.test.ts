import { assert, describe, it } from "@effect/vitest"
import { changed, leadsOut, notRegular } from "../../../src/internal/disk/fileCallsNode.js"

describe("the failures of files", () => {
  it("say which file, and what has become of it", () => {
    assert.deepStrictEqual(
      [notRegular("/d/f"), leadsOut("/d/f", "/d"), changed("/d/f", 0), changed("/d/f", 3), changed("/d/f", -1)].map(
        (error) => [error._tag, error.reason, error.detail]
      ),
      [
        ["SourceUnreadable", "Failed", "/d/f is no longer a regular file."],
        ["SourceUnreadable", "Failed", "/d/f now leads out of /d: a directory on its path is a link."],
        ["SourceChanged", "Modified", "/d/f was modified or replaced while it was uploaded."],
        ["SourceChanged", "Grew", "/d/f has become 3 bytes longer meanwhile."],
        ["SourceChanged", "EndedEarly", "/d/f has become 1 bytes shorter meanwhile."]
      ]
    )
  })
})
