import { changes } from "./Changes.js"
import * as CriterionTests from "./CriterionTests.js"
import { small } from "./FewFiles.js"

CriterionTests.hold([...changes, ...small])
