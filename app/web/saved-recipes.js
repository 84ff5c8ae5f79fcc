/** The last finished recipes in this browser. They outlive those on the server. */

import { LOCAL, load, store } from "./storage.js";

const MAX_RECIPES = 20;

export function savedEvents(id) {
  return load(LOCAL, "recipes", []).find((recipe) => recipe.id === id)?.events ?? [];
}

/** Saves a run's events, with the text of each part joined. */
export function saveEvents(id, events) {
  const others = load(LOCAL, "recipes", []).filter((recipe) => recipe.id !== id);
  store(LOCAL, "recipes", [...others, { id, events: joinFragments(events) }].slice(-MAX_RECIPES));
}

function joinFragments(events) {
  const merged = [];
  const pieces = {};
  for (const event of events) {
    const piece = event.kind === "fragment" && !event.recipe && pieces[event.part];
    if (event.kind === "part_start") pieces[event.part] = null;
    if (piece) piece.text += event.text;
    else merged.push({ ...event });
    if (event.kind === "fragment" && !event.recipe) pieces[event.part] ??= merged.at(-1);
  }
  return merged;
}
