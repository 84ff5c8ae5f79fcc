/** The button that copies the recipe's address. Without a clipboard the address is shown. */

import { setText } from "./i18n.js";

const copy = document.getElementById("copy");
const link = document.getElementById("link");

export function offerLink(whether) {
  copy.hidden = !whether;
  link.hidden = true;
  setText(copy, "copy");
}

// Pages over plain HTTP have no clipboard.
async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    setText(copy, "copied");
  } catch {
    link.href = link.textContent = location.href;
    link.hidden = false;
    link.focus();
    copy.hidden = true;
  }
}

copy.addEventListener("click", copyLink);
