/** Diet, foods to avoid and servings, saved in the browser because they apply to every recipe. */

import { LOCAL, load, store } from "./storage.js";
import { clearText, setText } from "./i18n.js";

const DEFAULTS = { diet: "", avoid: "", servings: 2 };
const MAX_SERVINGS = 20;
const MOST_CHARACTERS = 300;

const fold = document.getElementById("household");
const summary = document.getElementById("household-summary");
const { diet, avoid, servings } = document.getElementById("form").elements;

/** Returns the fields that differ from the defaults. */
export function household() {
  const fields = { diet: diet.value.trim(), avoid: avoid.value.trim(), servings: Number(servings.value) };
  return Object.fromEntries(Object.entries(fields).filter(([field, value]) => value !== DEFAULTS[field]));
}

/** Returns the fields for somebody else's recipe, which avoid what either household avoids. */
export function mergedHousehold(other) {
  const own = household();
  const both = (field) => union(own[field], other[field]).join(", ");
  const fields = { diet: both("diet"), avoid: both("avoid"), servings: own.servings ?? other.servings };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
}

/** Returns the items of several lists without duplicates, ignoring case and spaces. */
function union(...lists) {
  const items = lists.flatMap((list = "") => list.split(/[,，、;\n]/)).map((item) => item.trim()).filter(Boolean);
  const first = new Map();
  for (const item of items) first.set(item.toLowerCase(), first.get(item.toLowerCase()) ?? item);
  return [...first.values()];
}

/** Returns problems for fields that are too long, as after merging two households. */
export function tooLong(other) {
  const long = ["diet", "avoid"].filter((field) => other[field]?.length > MOST_CHARACTERS);
  return long.map((field) => ({ field, word: "reason_joined", values: { n: other[field].length } }));
}

/** Shows servings, diet and time of a recipe. */
export function showHousehold(element, { diet, avoid, servings, prepTime = undefined }) {
  setText(element, "for_whom", { servings: servings ?? DEFAULTS.servings, diet, avoid, minutes: prepTime });
}

export function openHousehold() {
  fold.open = true;
}

function show() {
  const set = household();
  if (Object.keys(set).length) showHousehold(summary, { ...DEFAULTS, ...set });
  else clearText(summary);
}

function change() {
  const count = Math.round(Number(servings.value)) || DEFAULTS.servings;
  servings.value = Math.min(MAX_SERVINGS, Math.max(1, count));
  store(LOCAL, "household", household());
  show();
}

function restore() {
  const saved = { ...DEFAULTS, ...load(LOCAL, "household", {}) };
  diet.value = saved.diet;
  avoid.value = saved.avoid;
  servings.value = saved.servings;
  fold.open = Object.keys(household()).length > 0;
  show();
}

restore();
fold.addEventListener("change", change);
