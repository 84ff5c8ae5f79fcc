/** The page of the recipe: its own texts, form and samples. */

import { saveDraft } from "./drafts.js";
import { addTexts } from "./i18n.js";
import { recipeTexts } from "./recipe-texts.js";
import * as form from "./form.js";
import { showHousehold } from "./household.js";
import { openPage } from "./page.js";

addTexts(recipeTexts);
for (const sample of document.querySelectorAll(".sample")) {
  sample.addEventListener("click", () => form.fillSample(sample.textContent));
}
// Input that was typed while the page waited for the server.
if (form.draft().ingredientsOnHand) saveDraft(location.pathname, form.draft());
document.getElementById("undo").addEventListener("click", form.undoSample);
openPage(form, showHousehold);
