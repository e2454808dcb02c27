import { assert, describe, it } from "@effect/vitest"
import { ByteSize } from "@sluice/core"
import { ConfigProvider, Effect, Option } from "effect"
import * as fc from "fast-check"

describe("ByteSize.parse", () => {
  it("reads numbers with and without a unit", () => {
    const sizes: ReadonlyArray<readonly [ByteSize.ByteSizeInput, number]> = [
      [0, 0],
      [1, 1],
      [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
      ["0", 0],
      ["512", 512],
      ["512B", 512],
      ["512 b", 512],
      ["1k", 1024],
      ["1K", 1024],
      ["1KiB", 1024],
      ["1kib", 1024],
      ["1kB", 1000],
      ["1KB", 1000],
      ["8 MiB", 8 * 1024 ** 2],
      ["8M", 8 * 1024 ** 2],
      ["8MB", 8_000_000],
      ["2G", 2 * 1024 ** 3],
      ["2GiB", 2 * 1024 ** 3],
      ["2GB", 2_000_000_000],
      ["1T", 1024 ** 4],
      ["1TiB", 1024 ** 4],
      ["1 TB", 1e12],
      ["1.5kB", 1500],
      ["0.5 KiB", 512],
      ["  10 MiB  ", 10 * 1024 ** 2],
      ["007", 7]
    ]
    assert.deepStrictEqual(sizes.map(([input]) => ByteSize.parse(input)), sizes.map(([, bytes]) => Option.some(bytes)))
  })

  it("refuses what is not a size", () => {
    const wrong: ReadonlyArray<ByteSize.ByteSizeInput> = [
      [
        "",
        " ",
        "ten",
        "-1",
        "-1 MiB",
        "+1",
        "1e3",
        "1,5 MB",
        "1.",
        ".5",
        "1 2",
        "1 MiBs",
        "MiB",
        "1 X",
        "0x10",
        "∞"
      ],
      ["1 constructor", "1 toString", "1 __proto__", "9007199254740993", "9999999999 TB", "1\u00a0MiB x"],
      [-1, 0.5, NaN, Infinity, -Infinity, Number.MAX_SAFE_INTEGER + 1]
    ].flat()
    assert.deepStrictEqual(wrong.filter((input) => Option.isSome(ByteSize.parse(input))), [])
  })

  it("refuses what is not a whole number of bytes, and says so", () => {
    assert.deepStrictEqual(["1.5", "0.1 B", "1.0001 kB"].map(ByteSize.parse), [
      Option.none(),
      Option.none(),
      Option.none()
    ])
  })
})

describe("ByteSize.decode", () => {
  it("parses a size, and throws for anything else, naming it", () => {
    assert.strictEqual(ByteSize.decode("8 MiB"), 8 * 1024 ** 2)
    assert.strictEqual(ByteSize.decode(5), 5)
    assert.throws(() => ByteSize.decode("ten"), RangeError, "Not a size: \"ten\"")
    assert.throws(() => ByteSize.decode(-1), RangeError)
  })
})

describe("ByteSize.format", () => {
  it("writes sizes for people", () => {
    const sizes: ReadonlyArray<readonly [number, string]> = [
      [0, "0 B"],
      [1, "1 B"],
      [1023, "1023 B"],
      [1024, "1.0 KiB"],
      [1536, "1.5 KiB"],
      [100 * 1024, "100 KiB"],
      [1.5 * 1024 ** 2, "1.5 MiB"],
      [2 * 1024 ** 3, "2.0 GiB"],
      [1024 ** 4, "1.0 TiB"],
      [1024 ** 5, "1.0 PiB"],
      [5000 * 1024 ** 5, "5000 PiB"]
    ]
    assert.deepStrictEqual(sizes.map(([bytes]) => ByteSize.format(bytes)), sizes.map(([, text]) => text))
  })

  it("never writes a thousand or more of a unit if there is a larger one", () => {
    assert.deepStrictEqual(
      [1024 ** 2 - 1, 1023.96 * 1024, 1024 ** 3 - 1, 1024 ** 4 - 1].map(ByteSize.format),
      ["1.0 MiB", "1.0 MiB", "1.0 GiB", "1.0 TiB"]
    )
  })

  it("writes what parse reads, within the decimals that it writes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1024 ** 4 }), (bytes) => {
        const read = ByteSize.parse(ByteSize.format(bytes).replace(/(\d+\.\d+) B/, "$1"))
        const [written] = ByteSize.format(bytes).split(" ")
        const unit = bytes / Number(written === "0" ? 1 : written)
        // The text may stand for no whole number of bytes.
        if (Option.isSome(read)) assert.isAtMost(Math.abs(read.value - bytes), unit * 0.51 + 1)
      }),
      { numRuns: 1_000 }
    )
  })
})

describe("ByteSize.config", () => {
  const read = (values: Readonly<Record<string, string>>) =>
    ByteSize.config("PART_SIZE").pipe(
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values)))),
      Effect.mapError(String)
    )

  it.effect("reads what parse reads", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* read({ PART_SIZE: "1.5 MiB" }), 1.5 * 1024 ** 2)
      assert.strictEqual(yield* read({ PART_SIZE: "512" }), 512)
    }))

  it.effect("refuses anything else by name", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* Effect.flip(read({ PART_SIZE: "-1" })),
        "(Invalid data at PART_SIZE: \"Expected a size, such as 8MiB or 500kB, but received \"-1\"\")"
      )
      assert.strictEqual(
        yield* Effect.flip(read({})),
        "(Missing data at PART_SIZE: \"Expected PART_SIZE to exist in the provided map\")"
      )
    }))
})
