import * as Gate from "./Gate.js"
import { sharing } from "./Sharing.js"
import { noisily } from "./Steady.js"

Gate.hold([...noisily, ...sharing])
