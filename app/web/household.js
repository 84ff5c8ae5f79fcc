/** For whom is cooked: diet, what is left out, servings. It stays in this browser, since an allergy doesn't go away. */

import { LOCAL, load, store } from "./storage.js";
import { hush, say } from "./words.js";

const USUAL = { diet: "", avoid: "", servings: 2 };
const MOST_SERVINGS = 20;
const MOST_CHARACTERS = 300;

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
  const both = (field) => union(own[field], asked[field]).join(", ");
  const fields = { diet: both("diet"), avoid: both("avoid"), servings: own.servings ?? asked.servings };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
}

/** The items of several lists, each once, however it is written. */
function union(...lists) {
  const items = lists.flatMap((list = "") => list.split(/[,，、;\n]/)).map((item) => item.trim()).filter(Boolean);
  const first = new Map();
  for (const item of items) first.set(item.toLowerCase(), first.get(item.toLowerCase()) ?? item);
  return [...first.values()];
}

/** The problems of fields that are too long to be sent, as of two households together. */
export function tooLong(asked) {
  const long = ["diet", "avoid"].filter((field) => asked[field]?.length > MOST_CHARACTERS);
  return long.map((field) => ({ field, word: "reason_joined", values: { n: asked[field].length } }));
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
