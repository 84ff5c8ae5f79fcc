/** The page of the recipe: its own texts, form and samples. */

import { addTexts } from "./i18n.js";
import { recipeTexts } from "./recipe-texts.js";
import * as form from "./form.js";
import { showHousehold } from "./household.js";
import { openPage } from "./page.js";

addTexts(recipeTexts);
for (const sample of document.querySelectorAll(".sample")) {
  sample.addEventListener("click", () => form.fillSample(sample.textContent));
}
document.getElementById("undo").addEventListener("click", form.undoSample);
openPage(form, showHousehold);
