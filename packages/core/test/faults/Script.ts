/**
 * The faults of a seed.
 */
import type * as Faults from "@sluice/core/testing/Faults"
import type * as Dice from "../support/Dice.js"

type Draw = (dice: Dice.Dice) => Faults.Kind

const refused: Draw = () => ({ _tag: "ConnectionRefused" })
const answerLost: Draw = () => ({ _tag: "AnswerLost" })
const noAnswer: Draw = () => ({ _tag: "NoAnswer" })
const serverError: Draw = (dice) => ({ _tag: "ServerError", status: dice.one([500, 502, 504]) })
const slowDown: Draw = (dice) => ({
  _tag: "SlowDown",
  status: dice.one([429, 503]),
  ...(dice.chance(0.5) && { retryAfterMillis: dice.between(0, 5_000) })
})
const errorBody: Draw = () => ({ _tag: "ErrorBody" })
const wrongEtag: Draw = () => ({ _tag: "WrongEtag" })
const expired: Draw = () => ({ _tag: "CredentialsExpired" })
const diskFull: Draw = () => ({ _tag: "DiskFull" })
const sessionLost: Draw = () => ({ _tag: "SessionLost" })
const dies: Draw = () => ({ _tag: "DriverDies" })
const killed: Draw = (dice) => ({ _tag: "Killed", applied: dice.chance(0.6) })
/** Later than the engine waits. */
const late = (after: number): Draw => (dice) => ({ _tag: "AnswerLate", millis: dice.between(after, 3 * after) })

const bodied: ReadonlyArray<Draw> = [
  refused,
  () => ({ _tag: "ResetBeforeBody" }),
  (dice) => ({ _tag: "ResetInsideBody", after: dice.fraction() }),
  () => ({ _tag: "ResetAfterBody" }),
  answerLost,
  answerLost,
  late(31_000),
  noAnswer,
  serverError,
  slowDown,
  errorBody,
  wrongEtag
]
const flipped: Draw = () => ({ _tag: "BitFlipped" })
const partial: Draw = (dice) => ({ _tag: "PartialPersistence", part: dice.fraction() })
const final: ReadonlyArray<Draw> = [expired, diskFull, dies, killed]

interface Share {
  readonly verb: Faults.Point
  readonly kinds: ReadonlyArray<Draw>
  readonly count: number
  /** How many occasions there are from one to the next, at most. */
  readonly apart: number
}

const shares = (inOrder: boolean): ReadonlyArray<Share> => [
  { verb: "put", kinds: [...bodied, flipped, partial, ...final], count: 5, apart: 2 },
  // What comes in order and is damaged can only be noticed before it is stored: nothing can be sent in its place.
  {
    verb: "uploadPart",
    kinds: [...(inOrder ? bodied : [...bodied, flipped, partial]), sessionLost, ...final],
    count: 7,
    apart: 3
  },
  {
    verb: "create",
    kinds: [refused, answerLost, late(31_000), noAnswer, serverError, slowDown, errorBody, expired, dies, killed],
    count: 3,
    apart: 1
  },
  {
    verb: "complete",
    kinds: [
      refused,
      answerLost,
      answerLost,
      answerLost,
      late(601_000),
      noAnswer,
      serverError,
      slowDown,
      errorBody,
      wrongEtag,
      sessionLost,
      expired,
      dies,
      killed
    ],
    count: 4,
    apart: 1
  },
  {
    verb: "source",
    kinds: [
      (dice) => ({ _tag: "SourceShrinks", bytes: dice.between(1, 2_000) }),
      (dice) => ({ _tag: "SourceGrows", bytes: dice.between(1, 2_000) }),
      () => ({ _tag: "SourceVanishes" }),
      () => ({ _tag: "SourceTouched" }),
      () => ({ _tag: "SourceRewritten" }),
      () => ({ _tag: "SourceFails" })
    ],
    count: 2,
    apart: 8
  },
  { verb: "process", kinds: [() => ({ _tag: "Killed" })], count: 1, apart: 80 },
  { verb: "process", kinds: [(dice) => ({ _tag: "JournalTorn", part: dice.fraction() })], count: 1, apart: 12 },
  { verb: "listParts", kinds: [refused, noAnswer, serverError, slowDown, sessionLost, wrongEtag], count: 1, apart: 2 },
  { verb: "head", kinds: [refused, noAnswer, serverError, wrongEtag], count: 1, apart: 2 },
  { verb: "abort", kinds: [refused, answerLost, late(31_000), noAnswer, serverError, slowDown], count: 2, apart: 2 }
]

/** These strike whenever a run has files of both kinds; the others need something else to have happened before. */
export const isCommon = ({ verb }: Faults.Fault): boolean =>
  verb === "put" || verb === "uploadPart" || verb === "create" || verb === "complete" || verb === "source"

export const draw = (dice: Dice.Dice, inOrder: boolean): ReadonlyArray<Faults.Fault> =>
  shares(inOrder).flatMap(({ apart, count, kinds, verb }) => {
    let nth = 0
    return Array.from({ length: count }, () => {
      nth += dice.between(1, apart)
      return { verb, nth, kind: dice.one(kinds)(dice) }
    })
  })
