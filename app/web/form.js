/** The form: its request, validation and field errors. */

import { household, openHousehold } from "./household.js";
import { clearText, setText } from "./i18n.js";

const form = document.getElementById("form");
const { ingredientsOnHand, prepTime, language, diet, avoid, servings } = form.elements;
const generate = document.getElementById("generate");
const stop = document.getElementById("stop");
const undo = document.getElementById("undo");
const reason = document.getElementById("reason");

// As on the server: a syllable or ideograph can be a word (무, 굴); a word of other letters needs two (ox).
const WORD = /[가-힣\u3040-\u30ff\u3400-\u9fff]|\p{L}[\u0300-\u036f]*\p{L}/u;

export function request() {
  return { ...recipeFields(), language: language.value, ...household() };
}

/** The fields that belong to one recipe; the others are saved in the browser. */
export function recipeFields() {
  return { ingredientsOnHand: ingredientsOnHand.value.trim(), prepTime: Number(prepTime.value) };
}

/** Returns the text key and values of a problem, or nothing if the form is valid. */
function validationError() {
  const text = ingredientsOnHand.value.trim();
  const length = [...text].length; // code points, as the server counts them
  if (!length) return ["reason_short"];
  if (length > 2000) return ["reason_long", { n: length }];
  if (!WORD.test(text)) return ["reason_letters"];
}

export function ready() {
  return !generate.disabled;
}

export function refresh(running) {
  const problem = running ? ["reason_running"] : validationError();
  const focused = document.activeElement;
  generate.disabled = Boolean(problem);
  stop.disabled = stop.hidden = !running;
  form.toggleAttribute("data-running", running);
  setText(reason, ...(problem ?? ["ready"]));
  // A disabled button loses the focus, so move it to the button that replaces it.
  if (running && focused === generate) stop.focus();
  if (!running && focused === stop) (problem ? ingredientsOnHand : generate).focus({ preventScroll: true });
}

/** Inserts a sample; the previous text can be restored. */
export function fillSample(text) {
  const before = undo.value || ingredientsOnHand.value.trim();
  replace(text);
  if (before === text) return;
  undo.value = before;
  undo.hidden = !before;
}

export function undoSample() {
  replace(undo.value);
  ingredientsOnHand.focus();
}

/** Called when the sample is edited. */
export function clearUndo() {
  undo.value = "";
  undo.hidden = true;
}

// As typed text, so that Ctrl+Z undoes it, too. Only this deprecated API does that.
function replace(text) {
  const focused = document.activeElement;
  ingredientsOnHand.focus({ preventScroll: true });
  ingredientsOnHand.select();
  if (!document.execCommand("insertText", false, text)) ingredientsOnHand.setRangeText(text);
  focused?.focus({ preventScroll: true });
  ingredientsOnHand.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Fills in the request of a run or a draft. Diet and servings stay as saved in this browser. */
export function fillForm(request) {
  clearFieldErrors();
  clearUndo();
  ingredientsOnHand.value = request.ingredientsOnHand;
  prepTime.value = request.prepTime;
  if (prepTime.selectedIndex < 0) prepTime.add(minutes(request.prepTime));
}

// A time that the page does not offer but other clients may use.
function minutes(n) {
  const option = new Option("", n, false, true);
  setText(option, "minutes", { n });
  return option;
}

export function clear() {
  clearUndo();
  ingredientsOnHand.value = "";
  prepTime.selectedIndex = [...prepTime.options].findIndex((option) => option.defaultSelected);
  clearFieldErrors();
}

export function focus() {
  ingredientsOnHand.focus();
}

export function clearFieldErrors() {
  for (const field of [ingredientsOnHand, prepTime, language, diet, avoid, servings]) {
    field.removeAttribute("aria-invalid");
    clearText(document.getElementById(`${field.name}-error`));
  }
}

/** Shows each problem at its field, or at the first field if it has none, with the server's message or our own. */
export function showFieldErrors(problems) {
  const fields = problems.map((problem) => {
    const field = form.elements[problem.field] ?? ingredientsOnHand;
    field.setAttribute("aria-invalid", "true");
    const line = document.getElementById(`${field.name}-error`);
    if (problem.word) setText(line, problem.word, problem.values);
    else line.textContent = problem.message;
    return field;
  });
  if (fields.some((field) => field.closest("details"))) openHousehold();
  fields[0]?.focus();
}
