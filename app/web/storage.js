/** JSON in the browser's storage. If it is disabled or full, nothing is saved. */

export const LOCAL = storage("localStorage");
export const SESSION = storage("sessionStorage");

export function load(area, name, fallback) {
  try {
    return JSON.parse(area.getItem(name)) ?? fallback;
  } catch {
    return fallback;
  }
}

export function store(area, name, value) {
  try {
    area.setItem(name, JSON.stringify(value));
  } catch {}
}

// If storage is disabled, accessing the property throws.
function storage(name) {
  try {
    return window[name];
  } catch {
    return null;
  }
}
