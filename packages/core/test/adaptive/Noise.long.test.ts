import * as CriterionTests from "./CriterionTests.js"
import { sharing } from "./Sharing.js"
import { noisily } from "./Steady.js"

CriterionTests.hold([...noisily, ...sharing])
