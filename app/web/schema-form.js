/** A form derived from the JSON Schema of a composition's request. */

import * as actions from "./form-actions.js";
import { composition } from "./composition.js";
import { Field } from "./schema-field.js";

export { clearFieldErrors, ready } from "./form-actions.js";
export const element = document.getElementById("form");
export const { language } = element.elements;

const { properties, required = [], $defs } = composition.request;
const fields = Object.entries(properties)
  .filter(([name]) => name !== "language" && name !== "seed") // which have their own place, or none
  .map(([name, schema]) => new Field(name, schema, $defs, required.includes(name)));
document.getElementById("fields").append(...fields.map((field) => field.element));
const first = fields[0]?.input ?? language;

export function request() {
  return { ...draft(), language: language.value };
}

export function draft() {
  return Object.fromEntries(fields.filter(({ value }) => value !== undefined).map(({ name, value }) => [name, value]));
}

export function draftOf(request) {
  return Object.fromEntries(fields.filter(({ name }) => name in request).map(({ name }) => [name, request[name]]));
}

export function followUp(run) {
  return { request: run.request, problems: [] };
}

export function refresh(running) {
  const missing = fields.find((field) => field.isMissing);
  actions.refresh(running, missing && ["reason_required", { field: missing.name }], missing?.input ?? first);
}

export function onInput() {}

export function fillForm(request) {
  actions.clearFieldErrors();
  for (const field of fields) if (field.name in request) field.value = request[field.name];
}

export function clear() {
  actions.clearFieldErrors();
  for (const field of fields) field.clear();
}

export function focus() {
  first.focus();
}

export function showFieldErrors(problems) {
  actions.showFieldErrors(problems, first)[0]?.focus();
}
