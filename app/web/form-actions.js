/** The buttons and the field errors of a form. */

import { clearText, setText } from "./i18n.js";

const form = document.getElementById("form");
const generate = document.getElementById("generate");
const stop = document.getElementById("stop");
const reason = document.getElementById("reason");

export function ready() {
  return !generate.disabled;
}

/** Shows whether the form can be sent. `problem` is a text key and its values, or nothing; `field` is the first field. */
export function refresh(running, problem, field) {
  const why = running ? ["reason_running"] : problem;
  const focused = document.activeElement;
  generate.disabled = Boolean(why);
  stop.disabled = stop.hidden = !running;
  form.toggleAttribute("data-running", running);
  setText(reason, ...(why ?? ["ready"]));
  // A disabled button loses the focus, so move it to the button that replaces it.
  if (running && focused === generate) stop.focus();
  if (!running && focused === stop) (why ? field : generate).focus({ preventScroll: true });
}

export function clearFieldErrors() {
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  for (const line of form.querySelectorAll(".error")) clearText(line);
}

/** Shows each problem at its field, or at `first` if it has none, with the server's message or our own. */
export function showFieldErrors(problems, first) {
  return problems.map((problem) => {
    const field = form.elements[problem.field] ?? first;
    field.setAttribute("aria-invalid", "true");
    const line = document.getElementById(`${field.name}-error`);
    if (problem.word) setText(line, problem.word, problem.values);
    else line.textContent = problem.message;
    return field;
  });
}
