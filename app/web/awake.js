/** Keeps the screen on while a recipe is open, where the browser can: floury hands can't. */

const LONGEST_MS = 4 * 3_600_000;

let lock = null;
let until = 0;

/** From now on for a few hours, or no longer. */
export function stayAwake(whether) {
  until = whether ? Date.now() + LONGEST_MS : 0;
  renew();
}

async function renew() {
  const wanted = Date.now() < until && document.visibilityState === "visible";
  if (!wanted || lock) {
    if (!wanted) release();
    return;
  }
  try {
    lock = await navigator.wakeLock?.request("screen");
    lock?.addEventListener("release", () => (lock = null));
    if (Date.now() >= until) release();
    else setTimeout(renew, until - Date.now() + 1);
  } catch {
    lock = null; // as when the battery is low
  }
}

function release() {
  lock?.release();
  lock = null;
}

// The browser drops the lock of a tab that is hidden.
document.addEventListener("visibilitychange", renew);
