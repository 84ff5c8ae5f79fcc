/** The last finished runs in this browser. They outlive those on the server. */

import { LOCAL, load, store } from "./storage.js";

const MAX_RUNS = 20;

export function savedEvents(id) {
  return load(LOCAL, "runs", []).find((run) => run.id === id)?.events ?? [];
}

/** Saves a run's events, with the text of each part joined. */
export function saveEvents(id, events) {
  const others = load(LOCAL, "runs", []).filter((run) => run.id !== id);
  store(LOCAL, "runs", [...others, { id, events: joinFragments(events) }].slice(-MAX_RUNS));
}

function joinFragments(events) {
  const merged = [];
  const pieces = {};
  for (const event of events) {
    const piece = event.kind === "fragment" && pieces[event.part];
    if (event.kind === "part_start") pieces[event.part] = null;
    if (piece) piece.text += event.text;
    else merged.push({ ...event });
    if (event.kind === "fragment") pieces[event.part] ??= merged.at(-1);
  }
  return merged;
}
