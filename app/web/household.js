/** For whom is cooked: diet, what is left out, servings. It stays in this browser, since an allergy doesn't go away. */

import { LOCAL, load, store } from "./storage.js";
import { hush, say } from "./words.js";

const USUAL = { diet: "", avoid: "", servings: 2 };
const MOST_SERVINGS = 20;

const fold = document.getElementById("household");
const summary = document.getElementById("household-summary");
const { diet, avoid, servings } = document.getElementById("form").elements;

/** What of it differs from the usual, as a request's fields. */
export function household() {
  const asked = { diet: diet.value.trim(), avoid: avoid.value.trim(), servings: Number(servings.value) };
  return Object.fromEntries(Object.entries(asked).filter(([field, value]) => value !== USUAL[field]));
}

/** The household's fields for a recipe of somebody else's: what either leaves out stays out. */
export function joined(asked) {
  const own = household();
  const both = (field) => [...new Set([own[field], asked[field]].filter(Boolean))].join(", ");
  const fields = { diet: both("diet"), avoid: both("avoid"), servings: own.servings ?? asked.servings };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
}

/** Says for whom a recipe is, and in what time. */
export function sayHousehold(element, { diet, avoid, servings, prepTime }) {
  say(element, "for_whom", { servings: servings ?? USUAL.servings, diet, avoid, minutes: prepTime });
}

export function openHousehold() {
  fold.open = true;
}

function show() {
  const set = household();
  if (Object.keys(set).length) sayHousehold(summary, { ...USUAL, ...set });
  else hush(summary);
}

function change() {
  const count = Math.round(Number(servings.value)) || USUAL.servings;
  servings.value = Math.min(MOST_SERVINGS, Math.max(1, count));
  store(LOCAL, "household", household());
  show();
}

function recall() {
  const kept = { ...USUAL, ...load(LOCAL, "household", {}) };
  diet.value = kept.diet;
  avoid.value = kept.avoid;
  servings.value = kept.servings;
  fold.open = Object.keys(household()).length > 0;
  show();
}

recall();
fold.addEventListener("change", change);
