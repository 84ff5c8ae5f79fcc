/** The page's language: the browser's, or the one that was chosen by hand until the browser's is chosen again. */

import { LOCAL, load, store } from "./storage.js";
import { LANGUAGES } from "./words.js";

const primary = (tag) => tag.split("-")[0].toLowerCase();
const browsers = navigator.languages.map(primary).find((language) => language in LANGUAGES) ?? "en";

let chosen = load(LOCAL, "language", null);

export const preferred = () => (chosen in LANGUAGES ? chosen : browsers);

export function prefer(language) {
  chosen = language === browsers ? null : language;
  store(LOCAL, "language", chosen);
}
