/** The composition of this page, from `/composition.json`: its panels, titles and order. */

import { addTexts, LANGUAGES } from "./i18n.js";

/** The prefix of the server's routes, and that of the composition's: the recipe's is the same, a trip's ends in `/trip`. */
const ROOT = new URL(".", document.baseURI).pathname.slice(0, -1);
export const BASE = /^(.*)\/(?:r\/[^/]+)?$/.exec(location.pathname)?.[1] ?? "";

// The page has it unless the server was still starting.
const inline = document.getElementById("composition");
export const composition = inline ? JSON.parse(inline.textContent) : await (await fetch(`${BASE}/composition.json`)).json();

const { choice } = composition;
const parts = new Map(composition.parts.map((part) => [part.name, part]));

/** The names of the parts in reading order. */
export const partNames = [...parts.keys()];

export const needs = (part) => parts.get(part).needs;

/** The parts that are rewritten with this one. */
export const dependents = (part) => parts.get(part).dependents;

/** The name of the part that chooses, and whether a part waits for its choice. */
export const chooser = choice?.part ?? null;
export const needsChoice = (part) => chooser !== null && dependents(chooser).includes(part);

/** These parts without those that others of them wait for. */
export function nearest(names) {
  return names.filter((name) => !names.some((other) => dependents(name).includes(other)));
}

/** Parts that start at once come first, those that wait for most come last. */
export const startOrder = [...partNames].sort((one, other) => depth(one) - depth(other));

function depth(part) {
  return Math.max(0, ...needs(part).map((need) => depth(need) + 1));
}

/** The name of an option and its other fields, for readers. */
export function optionTexts(option) {
  const [name, ...others] = choice.fields.map((field) => option[field] ?? "");
  return { name, about: others.map(readable).filter(Boolean).join(" · ") };
}

/** Lists and objects come as JSON. */
function readable(text) {
  try {
    return /^[[{]/.test(text) ? listed(JSON.parse(text)) : text;
  } catch {
    return text;
  }
}

function listed(value) {
  if (value === null || typeof value !== "object") return String(value);
  const items = Array.isArray(value)
    ? value.map(listed)
    : Object.entries(value).map(([name, each]) => `${name}: ${listed(each)}`);
  return items.join(items.some((item) => item.includes(", ")) ? "; " : ", ");
}

/** The option that a request for a run names, if any. */
export const optionOf = (request) => (choice && request[choice.noun]) || null;

/** Returns the request with this option; the fields that a request knows and no others. */
export function withOption(request, option) {
  const fields = choice.fields.map((field) => [field, option[field] ?? ""]);
  return { ...request, [choice.noun]: Object.fromEntries(fields) };
}

function titles(language) {
  const parts = composition.parts.map(({ name, title }) => [`title_${name}`, title[language]]);
  const document_title = BASE === ROOT ? "Sizzle" : `${composition.title[language]} · Sizzle`;
  const own = { document_title, title: composition.title[language], idle_title: composition.title[language], notice: composition.notice[language] };
  return { ...own, [`the_${chooser}`]: LANGUAGES[language].the_choice, ...Object.fromEntries(parts) };
}

function hints(language) {
  const { hint, hint_choice } = LANGUAGES[language];
  return Object.fromEntries(partNames.map((part) => [`hint_${part}`, part === chooser ? hint_choice : hint(nearest(needs(part)))]));
}

addTexts({ en: titles("en"), ko: titles("ko") });
addTexts({ en: hints("en"), ko: hints("ko") });

/** Links the pages of the other compositions in this element. */
export function linkOthers(nav) {
  nav.hidden = !composition.others.length;
  for (const [number, { path, title }] of composition.others.entries()) {
    const link = nav.appendChild(document.createElement("a"));
    link.href = path;
    link.dataset.word = `other_${number}`;
    addTexts({ en: { [link.dataset.word]: title.en }, ko: { [link.dataset.word]: title.ko } });
  }
}
