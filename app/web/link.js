/** The button that copies the recipe's address, where there is a clipboard; elsewhere the address itself. */

import { say } from "./words.js";

const copy = document.getElementById("copy");
const link = document.getElementById("link");

export function offerLink(whether) {
  copy.hidden = !whether;
  link.hidden = true;
  say(copy, "copy");
}

// Where the clipboard is not to be had, as over plain HTTP, the address itself is shown.
async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    say(copy, "copied");
  } catch {
    link.href = link.textContent = location.href;
    link.hidden = false;
    link.focus();
    copy.hidden = true;
  }
}

copy.addEventListener("click", copyLink);
