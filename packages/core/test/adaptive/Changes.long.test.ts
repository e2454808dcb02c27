import { changes } from "./Changes.js"
import * as Gate from "./Gate.js"
import { small } from "./Small.js"

Gate.hold([...changes, ...small])
