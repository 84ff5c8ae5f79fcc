/** The last recipes that this browser has seen to their end. They outlive the server's, which are kept for a while only. */

import { LOCAL, load, store } from "./storage.js";

const MOST = 20;

export function keptEvents(id) {
  return load(LOCAL, "recipes", []).find((recipe) => recipe.id === id)?.events ?? [];
}

/** Keeps what a run's events come to, with the text of each part as one piece. */
export function keepEvents(id, events) {
  const others = load(LOCAL, "recipes", []).filter((recipe) => recipe.id !== id);
  store(LOCAL, "recipes", [...others, { id, events: condensed(events) }].slice(-MOST));
}

function condensed(events) {
  const kept = [];
  const pieces = {};
  for (const event of events) {
    const piece = event.kind === "fragment" && !event.recipe && pieces[event.part];
    if (event.kind === "part_start") pieces[event.part] = null;
    if (piece) piece.text += event.text;
    else kept.push({ ...event });
    if (event.kind === "fragment" && !event.recipe) pieces[event.part] ??= kept.at(-1);
  }
  return kept;
}
