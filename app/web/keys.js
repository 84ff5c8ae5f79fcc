/** The keys of the runs that this browser began: only with its key can a run be stopped or written again. */

import { LOCAL, load, store } from "./storage.js";

const MOST = 100;
const DAYS = 7;

let keys = load(LOCAL, "keys", {});

export const keyOf = (id) => keys[id]?.key ?? null;

export function keep(id, key) {
  const oldest = Date.now() - DAYS * 86_400_000;
  const kept = Object.entries(load(LOCAL, "keys", keys)).filter(([, { at }]) => at > oldest);
  keys = Object.fromEntries([...kept, [id, { key, at: Date.now() }]].slice(-MOST));
  store(LOCAL, "keys", keys);
}
