/** The page of any composition: its form is derived from the JSON Schema of its request. */

import * as form from "./schema-form.js";
import { openPage } from "./page.js";

openPage(form);
