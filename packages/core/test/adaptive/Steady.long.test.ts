import * as CriterionTests from "./CriterionTests.js"
import { steadily } from "./Steady.js"

CriterionTests.hold(steadily)
