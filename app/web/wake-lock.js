/** Keeps the screen on while a recipe is open, if the browser supports it. */

const MAX_DURATION_MS = 4 * 3_600_000;

let lock = null; // a promise
let until = 0;

/** Keeps the screen on for some hours, or releases it. */
export function stayAwake(isActive) {
  until = isActive ? Date.now() + MAX_DURATION_MS : 0;
  if (isActive) setTimeout(renew, MAX_DURATION_MS);
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
    lock = null; // for example because the battery is low
    return null;
  }
}

async function release() {
  const current = lock;
  lock = null;
  (await current)?.release();
}

// The browser releases the lock of a hidden tab.
document.addEventListener("visibilitychange", renew);
