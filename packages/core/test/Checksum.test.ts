import { assert, describe, it } from "@effect/vitest"
import { Checksum } from "@sluice/core"
import { Encoding } from "effect"
import * as fc from "fast-check"
import { afterEach } from "vitest"

const text = (text: string) => new TextEncoder().encode(text)

const zeros = (size: number) => new Uint8Array(size)

const hex = (algorithm: Checksum.Algorithm, bytes: Uint8Array, make = Checksum.make) => {
  const fold = make(algorithm)
  fold.update(bytes)
  return Encoding.encodeHex(fold.digest())
}

const makers = { make: Checksum.make, makePortable: Checksum.makePortable }

const combinable = Checksum.algorithms.filter(Checksum.isCombinable)

interface Sized {
  readonly checksum: Checksum.Checksum
  readonly size: number
}

const part = (algorithm: Checksum.Algorithm, bytes: Uint8Array): Sized => ({
  checksum: Checksum.of(algorithm, bytes),
  size: bytes.length
})

const holds = <A>(arbitrary: fc.Arbitrary<A>, property: (value: A) => void) =>
  fc.assert(fc.property(arbitrary, property), { numRuns: 1_000 })

/** Bytes, and the same bytes cut anywhere into blocks, empty ones too. */
const cutBytes = fc.tuple(
  fc.uint8Array({ maxLength: 300 }),
  fc.array(fc.nat({ max: 300 }), { maxLength: 6 })
).map(([bytes, cuts]) => {
  const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b), bytes.length]
  return { bytes, blocks: edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge)) }
})

const bare = globalThis.process.getBuiltinModule

afterEach(() => {
  globalThis.process.getBuiltinModule = bare
})

/** Has the platform answer as one without the modules, or with others. */
const platformOf = (modules: (id: string) => object | undefined) => {
  globalThis.process.getBuiltinModule = modules as typeof bare
}

describe.each(Object.entries(makers))("Checksum.%s", (_, make) => {
  it("gives the check values", () => {
    // CRCs: the catalogue of parametrised CRC algorithms; the CRC of RFC 3720, B.4; NVM Express NVM command set 1.0d.
    assert.deepStrictEqual(
      Checksum.algorithms.map((algorithm) => [algorithm, hex(algorithm, text("123456789"), make)]),
      [
        ["crc32", "cbf43926"],
        ["crc32c", "e3069283"],
        ["crc64nvme", "ae8b14860a799888"],
        ["md5", "25f9e794323b453885f5181f1b624d0b"],
        ["sha256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"]
      ]
    )
    assert.deepStrictEqual(
      [zeros(32), zeros(32).fill(255), Uint8Array.from({ length: 32 }, (_, i) => i)].map((b) => hex("crc32c", b, make)),
      ["8a9136aa", "62a8ab43", "46dd794e"]
    )
    assert.deepStrictEqual([4096, 0].map((size) => hex("crc64nvme", zeros(size), make)), [
      "6482d367eb22b64e",
      "0000000000000000"
    ])
    assert.strictEqual(hex("crc64nvme", zeros(4096).fill(255), make), "c0ddba7302eca3ac")
  })

  it("gives the digests of RFC 1321 and of FIPS 180-4", () => {
    const md5: ReadonlyArray<readonly [string, string]> = [
      ["", "d41d8cd98f00b204e9800998ecf8427e"],
      ["a", "0cc175b9c0f1b6a831c399e269772661"],
      ["abc", "900150983cd24fb0d6963f7d28e17f72"],
      ["message digest", "f96b697d7cb7938d525a2f31aaf161d0"],
      ["abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"],
      ["1234567890".repeat(8), "57edf4a22be3c955ac49da2e2107b67a"]
    ]
    assert.deepStrictEqual(md5.map(([input]) => hex("md5", text(input), make)), md5.map(([, digest]) => digest))
    const sha256: ReadonlyArray<readonly [string, string]> = [
      ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
      ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
      [
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ]
    ]
    assert.deepStrictEqual(
      sha256.map(([input]) => hex("sha256", text(input), make)),
      sha256.map(([, digest]) => digest)
    )
  })

  it("is the same at once and block by block, and can be read midway", () => {
    for (const algorithm of Checksum.algorithms) {
      holds(cutBytes, ({ blocks, bytes }) => {
        const fold = make(algorithm)
        for (const block of blocks) {
          fold.update(block)
          fold.digest()
        }
        const digest = fold.digest()
        assert.deepStrictEqual(fold.checksum(), Checksum.of(algorithm, bytes))
        assert.deepStrictEqual(fold.digest(), digest)
        assert.strictEqual(Object.getPrototypeOf(digest), Uint8Array.prototype)
        assert.deepStrictEqual(Checksum.digestOf(fold.checksum()), digest)
      })
    }
  })
})

describe("Checksum.make", () => {
  it("falls back if the platform has nothing", () => {
    const native = Checksum.algorithms.map((algorithm) => Checksum.of(algorithm, text("some bytes")))
    const portable = () => Checksum.algorithms.map((algorithm) => Checksum.of(algorithm, text("some bytes")))
    platformOf(() => undefined)
    assert.deepStrictEqual(portable(), native)
    platformOf(() => ({}))
    assert.deepStrictEqual(portable(), native)
    platformOf(undefined as never)
    assert.deepStrictEqual(portable(), native)
    const { process } = globalThis
    try {
      Reflect.deleteProperty(globalThis, "process")
      assert.deepStrictEqual(portable(), native)
    } finally {
      globalThis.process = process
    }
  })

  it("uses what the platform has", () => {
    const asked: Array<string> = []
    platformOf((id) => {
      asked.push(id)
      return bare(id)
    })
    for (const algorithm of Checksum.algorithms) Checksum.of(algorithm, text("some bytes"))
    assert.deepStrictEqual(asked, ["node:zlib", "node:crypto", "node:crypto"])
  })
})

describe("an empty block", () => {
  it("changes nothing, wherever it comes", () => {
    for (const algorithm of Checksum.algorithms) {
      for (const make of [Checksum.make, Checksum.makePortable]) {
        const fold = make(algorithm)
        for (const block of ["", "some", "", " bytes", ""]) fold.update(block === "" ? new Uint8Array(0) : text(block))
        assert.deepStrictEqual(fold.checksum(), Checksum.of(algorithm, text("some bytes")), algorithm)
      }
    }
  })
})

describe("S3's own vectors", () => {
  // Three parts of 5 MiB; ceph/s3-tests, test_multipart_use_cksum_helper_*.
  const bodies = ["A", "B", "C"].map((letter) => zeros(5 * 1024 ** 2).fill(letter.charCodeAt(0)))
  const partsOf = (algorithm: Checksum.Algorithm) => bodies.map((body) => part(algorithm, body))

  it("of the CRCs' parts and of the full object", () => {
    assert.deepStrictEqual(
      combinable.map((algorithm) => [
        ...partsOf(algorithm).map(({ checksum }) => checksum.value),
        Checksum.combine(algorithm, partsOf(algorithm))?.value
      ]),
      [
        ["JRTCyQ==", "QoZTGg==", "YAgjqw==", "WgDhBQ=="],
        ["MDaLrw==", "TH4EZg==", "Z7mBIQ==", "xU+Krw=="],
        ["L/E4WYn8v98=", "xW1l19VobYM=", "cK5MnNaWrW4=", "i+6LR0y3eFo="]
      ]
    )
  })

  it("of the composite SHA-256", () => {
    assert.deepStrictEqual(Checksum.composite("sha256", partsOf("sha256")), {
      algorithm: "sha256",
      value: "uWBwpe1dxI4Vw8Gf0X9ynOdw/SS6VBzfWm9giiv1sf4=-3"
    })
  })
})

describe("Checksum.combine", () => {
  it("gives the checksum of the whole", () => {
    for (const algorithm of combinable) {
      holds(cutBytes, ({ blocks, bytes }) => {
        const parts = blocks.map((block) => part(algorithm, block))
        assert.deepStrictEqual(Checksum.combine(algorithm, parts), Checksum.of(algorithm, bytes))
      })
    }
  })

  it("does not care how parts are grouped, however large they are", () => {
    const size = fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 48 * 1024 ** 4 }))
    for (const algorithm of combinable) {
      const digestSize = Checksum.digestOf(Checksum.of(algorithm, zeros(0)))!.length
      const anyPart = fc.record({
        checksum: fc.uint8Array({ minLength: digestSize, maxLength: digestSize }).map((digest) => ({
          algorithm,
          value: Encoding.encodeBase64(digest)
        })),
        size
      })
      const join = (a: Sized, b: Sized): Sized => ({
        checksum: Checksum.combine(algorithm, [a, b])!,
        size: a.size + b.size
      })
      holds(fc.tuple(anyPart, anyPart, anyPart), ([a, b, c]) => {
        assert.deepStrictEqual(join(join(a, b), c), join(a, join(b, c)))
        assert.deepStrictEqual(Checksum.combine(algorithm, [a, b, c]), join(join(a, b), c).checksum)
      })
    }
  })

  it("handles sizes past 32 bits: zeros in parts of 5 GiB are as zeros doubled one byte at a time", () => {
    for (const algorithm of combinable) {
      // From a byte by doubling only, so that each size is a power of two.
      const doubled = [part(algorithm, zeros(1))]
      for (let power = 1; power <= 45; power++) {
        const { checksum, size } = doubled[power - 1]!
        doubled.push({
          checksum: Checksum.combine(algorithm, [{ checksum, size }, { checksum, size }])!,
          size: size * 2
        })
      }
      assert.deepStrictEqual(doubled[20], part(algorithm, zeros(2 ** 20)))
      const ofPowers = (size: number) =>
        Checksum.combine(algorithm, doubled.filter(({ size: power }) => Math.floor(size / power) % 2 === 1))
      const fiveGiB = 5 * 1024 ** 3
      const one = { checksum: ofPowers(fiveGiB), size: fiveGiB }
      assert.deepStrictEqual(
        Checksum.combine(algorithm, Array.from({ length: 10_000 }, () => one)),
        ofPowers(10_000 * fiveGiB)
      )
    }
  })

  it("is that of no bytes for no parts", () => {
    assert.deepStrictEqual(
      combinable.map((algorithm) => Checksum.combine(algorithm, [])),
      combinable.map((algorithm) => Checksum.of(algorithm, zeros(0)))
    )
  })

  it("has nothing to say of hashes, nor of parts without the right checksum", () => {
    const md5 = part("md5", text("a"))
    const crc32 = part("crc32", text("a"))
    assert.deepStrictEqual([
      Checksum.combine("md5", [md5]),
      Checksum.combine("sha256", []),
      Checksum.combine("crc32", [crc32, { size: 1 }]),
      Checksum.combine("crc32c", [crc32]),
      Checksum.combine("crc32", [{ checksum: { algorithm: "crc32", value: "no base64!" }, size: 1 }]),
      Checksum.combine("crc32", [{ checksum: { algorithm: "crc32", value: md5.checksum.value }, size: 1 }])
    ], Array.from({ length: 6 }, () => undefined))
  })
})

describe("Checksum.composite", () => {
  it("is the hash of the digests of the parts, and counts them", () => {
    for (const algorithm of Checksum.algorithms) {
      const parts = ["one", "two", ""].map((word) => part(algorithm, text(word)))
      const digests = parts.flatMap(({ checksum }) => [...Checksum.digestOf(checksum)!])
      assert.deepStrictEqual(Checksum.composite(algorithm, parts), {
        algorithm,
        value: `${Checksum.of(algorithm, Uint8Array.from(digests)).value}-3`
      })
    }
  })

  it("has nothing to say of parts without the right checksum", () => {
    const composite = Checksum.composite("md5", [part("md5", text("a"))])
    assert.strictEqual(composite?.value.endsWith("-1"), true)
    assert.deepStrictEqual([
      Checksum.composite("md5", [part("md5", text("a")), {}]),
      Checksum.composite("md5", [part("crc32", text("a"))]),
      Checksum.composite("md5", [{ checksum: composite }])
    ], [undefined, undefined, undefined])
  })
})

describe("Checksum.algorithms", () => {
  it("are distinguished from other words", () => {
    assert.deepStrictEqual(Checksum.algorithms, ["crc32", "crc32c", "crc64nvme", "md5", "sha256"])
    assert.isTrue(Checksum.algorithms.every(Checksum.isAlgorithm))
    assert.deepStrictEqual(["CRC32", "sha1", "", "toString", undefined, 32].filter(Checksum.isAlgorithm), [])
    assert.deepStrictEqual(combinable, ["crc32", "crc32c", "crc64nvme"])
  })
})
