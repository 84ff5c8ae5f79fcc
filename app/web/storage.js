/** JSON in the browser's storage. Storage may be forbidden or full: what is kept then lasts as long as the page. */

export const LOCAL = storage("localStorage");
export const SESSION = storage("sessionStorage");

export function load(kept, name, otherwise) {
  try {
    return JSON.parse(kept.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function store(kept, name, value) {
  try {
    kept.setItem(name, JSON.stringify(value));
  } catch {}
}

// Where it is forbidden, even to name it is an error.
function storage(name) {
  try {
    return window[name];
  } catch {
    return null;
  }
}
