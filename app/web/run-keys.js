/** The keys of runs that this browser started. They are needed to cancel a run or regenerate its parts. */

import { LOCAL, load, store } from "./storage.js";

const MAX_KEYS = 100;
const MAX_AGE_DAYS = 7;

let keys = load(LOCAL, "keys", {});

export const keyOf = (id) => keys[id]?.key ?? null;

export function saveKey(id, key) {
  const oldest = Date.now() - MAX_AGE_DAYS * 86_400_000;
  const recent = Object.entries(load(LOCAL, "keys", keys)).filter(([, { at }]) => at > oldest);
  keys = Object.fromEntries([...recent, [id, { key, at: Date.now() }]].slice(-MAX_KEYS));
  store(LOCAL, "keys", keys);
}
