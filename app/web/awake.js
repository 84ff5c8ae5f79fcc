/** Keeps the screen on while a recipe is open, where the browser can: floury hands can't. */

const LONGEST_MS = 4 * 3_600_000;

let lock = null; // the promise of one
let until = 0;

/** From now on for a few hours, or no longer. */
export function stayAwake(whether) {
  until = whether ? Date.now() + LONGEST_MS : 0;
  if (whether) setTimeout(renew, LONGEST_MS);
  renew();
}

function renew() {
  if (Date.now() >= until) release();
  else if (document.visibilityState === "visible") lock ??= request();
}

async function request() {
  try {
    const screen = await navigator.wakeLock.request("screen");
    screen.addEventListener("release", () => (lock = null));
    return screen;
  } catch {
    lock = null; // as when the battery is low
    return null;
  }
}

async function release() {
  const held = lock;
  lock = null;
  (await held)?.release();
}

// The browser drops the lock of a tab that is hidden.
document.addEventListener("visibilitychange", renew);
