import { changes } from "./Changes.js"
import type { Criterion } from "./Criterion.js"
import { small } from "./FewFiles.js"
import { sharing } from "./Sharing.js"
import { noisily, steadily } from "./Steady.js"

export const criteria: ReadonlyArray<Criterion> = [...steadily, ...changes, ...noisily, ...sharing, ...small]
