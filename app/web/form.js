/** What the cook asks for, and whether it can be asked. */

import { household, openHousehold } from "./household.js";
import { hush, say } from "./words.js";

const form = document.getElementById("form");
const { ingredientsOnHand, prepTime, language, diet, avoid, servings } = form.elements;
const generate = document.getElementById("generate");
const stop = document.getElementById("stop");
const undo = document.getElementById("undo");
const reason = document.getElementById("reason");

// As the server counts: a syllable or an ideograph can be a whole word (무, 굴), of other letters a word needs two (ox).
const WORD = /[가-힣\u3040-\u30ff\u3400-\u9fff]|\p{L}[\u0300-\u036f]*\p{L}/u;

export function request() {
  return { ...typed(), language: language.value, ...household() };
}

/** What belongs to one recipe, and not to the browser. */
export function typed() {
  return { ingredientsOnHand: ingredientsOnHand.value.trim(), prepTime: Number(prepTime.value) };
}

/** The word for what is wrong, and its values; nothing when the form can be sent. */
function objection() {
  const typed = ingredientsOnHand.value.trim();
  const length = [...typed].length; // code points, as the server counts them
  if (!length) return ["reason_short"];
  if (length > 2000) return ["reason_long", { n: length }];
  if (!WORD.test(typed)) return ["reason_letters"];
}

export function ready() {
  return !generate.disabled;
}

export function refresh(running) {
  const why = running ? ["reason_running"] : objection();
  const focused = document.activeElement;
  generate.disabled = Boolean(why);
  stop.disabled = stop.hidden = !running;
  form.toggleAttribute("data-running", running);
  say(reason, ...(why ?? ["ready"]));
  // A button that gets disabled drops the focus to the page's top: hand it to the one that takes its place.
  if (running && focused === generate) stop.focus();
  if (!running && focused === stop) (why ? ingredientsOnHand : generate).focus({ preventScroll: true });
}

/** Puts a sample in; what it takes the place of can be had back. */
export function fill(text) {
  const before = undo.value || ingredientsOnHand.value.trim();
  replace(text);
  if (before === text) return;
  undo.value = before;
  undo.hidden = !before;
}

export function unfill() {
  replace(undo.value);
  ingredientsOnHand.focus();
}

/** There is nothing to undo once the sample is edited. */
export function forgetUndo() {
  undo.value = "";
  undo.hidden = true;
}

// As if it were typed, so that Ctrl+Z undoes it too. There is no other way than this deprecated one.
function replace(text) {
  const focused = document.activeElement;
  ingredientsOnHand.focus({ preventScroll: true });
  ingredientsOnHand.select();
  if (!document.execCommand("insertText", false, text)) ingredientsOnHand.setRangeText(text);
  focused?.focus({ preventScroll: true });
  ingredientsOnHand.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Shows what a run was asked for, or what was typed. For whom it was stays as this browser has it. */
export function recall(asked) {
  forgive();
  forgetUndo();
  ingredientsOnHand.value = asked.ingredientsOnHand;
  prepTime.value = asked.prepTime;
  if (prepTime.selectedIndex < 0) prepTime.add(minutes(asked.prepTime));
}

// A time that the page does not offer, but others may ask for.
function minutes(n) {
  const option = new Option("", n, false, true);
  say(option, "minutes", { n });
  return option;
}

export function clear() {
  forgetUndo();
  ingredientsOnHand.value = "";
  prepTime.selectedIndex = [...prepTime.options].findIndex((option) => option.defaultSelected);
  forgive();
}

export function focus() {
  ingredientsOnHand.focus();
}

export function forgive() {
  for (const field of [ingredientsOnHand, prepTime, language, diet, avoid, servings]) {
    field.removeAttribute("aria-invalid");
    hush(document.getElementById(`${field.name}-error`));
  }
}

/** Shows each problem at its field, by the server's message or a word of ours; what belongs to no field stands with the first. */
export function accuse(problems) {
  const fields = problems.map((problem) => {
    const field = form.elements[problem.field] ?? ingredientsOnHand;
    field.setAttribute("aria-invalid", "true");
    const line = document.getElementById(`${field.name}-error`);
    if (problem.word) say(line, problem.word, problem.values);
    else line.textContent = problem.message;
    return field;
  });
  if (fields.some((field) => field.closest("details"))) openHousehold();
  fields[0]?.focus();
}
