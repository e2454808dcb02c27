import * as Gate from "./Gate.js"
import { steadily } from "./Steady.js"

Gate.hold(steadily)
