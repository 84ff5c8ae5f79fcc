/** The page's language: the browser's, or the one chosen by hand. */

import { LOCAL, load, store } from "./storage.js";
import { LANGUAGES } from "./i18n.js";

const primary = (tag) => tag.split("-")[0].toLowerCase();
const browsers = navigator.languages.map(primary).find((language) => language in LANGUAGES) ?? "en";

let chosen = load(LOCAL, "language", null);

export const preferred = () => (chosen in LANGUAGES ? chosen : browsers);

export function prefer(language) {
  chosen = language === browsers ? null : language;
  store(LOCAL, "language", chosen);
}
