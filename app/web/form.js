/** The recipe's form: its request, validation and field errors. */

import * as actions from "./form-actions.js";
import { household, mergedHousehold, openHousehold, tooLong } from "./household.js";
import { setText } from "./i18n.js";

export { ready } from "./form-actions.js";
export const element = document.getElementById("form");
export const { language } = element.elements;

const { ingredientsOnHand, prepTime } = element.elements;
const undo = document.getElementById("undo");

// As on the server: a syllable or ideograph can be a word (무, 굴); a word of other letters needs two (ox).
const WORD = /[가-힣\u3040-\u30ff\u3400-\u9fff\p{Extended_Pictographic}]|\p{L}[\u0300-\u036f]*\p{L}/u;

export function request() {
  return { ...draft(), language: language.value, ...household() };
}

/** The fields that belong to one recipe; the others are saved in the browser. */
export function draft() {
  return { ingredientsOnHand: ingredientsOnHand.value.trim(), prepTime: Number(prepTime.value) };
}

export const draftOf = ({ ingredientsOnHand, prepTime }) => ({ ingredientsOnHand, prepTime });

/** The request for another dish. For somebody else's recipe, the foods that they avoid are avoided, too. */
export function followUp(run) {
  const { diet, avoid, servings, ...rest } = run.request;
  const request = { ...rest, ...(run.isOwn ? household() : mergedHousehold(run.request)) };
  return { request, problems: tooLong(request) };
}

/** Returns the text key and values of a problem, or nothing if the form is valid. */
function validationError() {
  const text = ingredientsOnHand.value.trim();
  const length = [...text].length; // code points, as the server counts them
  if (!length) return ["reason_short"];
  if (length > 2000) return ["reason_long", { n: length }];
  if (!WORD.test(text)) return ["reason_letters"];
}

export function refresh(running) {
  actions.refresh(running, validationError(), ingredientsOnHand);
}

export function onInput(field) {
  if (field === ingredientsOnHand) clearUndo();
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

function clearUndo() {
  undo.value = "";
  undo.hidden = true;
}

// As typed text, so that Ctrl+Z undoes it, too. Only this deprecated API does that.
function replace(text) {
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
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
  actions.clearFieldErrors();
}

export function showFieldErrors(problems) {
  const fields = actions.showFieldErrors(problems, ingredientsOnHand);
  if (fields.some((field) => field.closest("details"))) openHousehold();
  fields[0]?.focus();
}
