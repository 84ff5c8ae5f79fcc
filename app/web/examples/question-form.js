/** The question form of every example: sends, stops, shows the outcome and the code that ran. */

import { RefusedError } from "./readers.js";

const form = document.getElementById("form");
const { query } = form.elements;
const askButton = document.getElementById("ask");
const stopButton = document.getElementById("stop");
const problem = document.getElementById("query-error");
const status = document.getElementById("status");
let controller = null;

/** Calls `answer(question, signal)` for each question. Its result is the final status; errors are shown. */
export function onAsk(answer) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!controller) run(answer);
  });
  stopButton.addEventListener("click", () => controller?.abort());
  query.addEventListener("input", clearError);
  query.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  askButton.disabled = false;
}

/** Shows the source of the functions. */
export function showCode(place, ...functions) {
  place.textContent = functions.map((each) => each.toString()).join("\n\n");
}

export function announce(outcome, text) {
  status.dataset.outcome = outcome;
  status.textContent = text;
}

async function run(answer) {
  const { signal } = (controller = new AbortController());
  clearError();
  refresh();
  announce("running", "Waiting for the first word …");
  status.scrollIntoView({ block: "nearest" });
  try {
    announce("ok", await answer(query.value, signal));
  } catch (error) {
    fail(error, signal);
  }
  controller = null;
  refresh();
  if (query.ariaInvalid) query.focus();
}

function fail(error, signal) {
  if (signal.aborted) announce("stopped", "Stopped. The text so far stays.");
  else if (error instanceof RefusedError && error.problems.length) showError(error.problems[0]);
  else if (error instanceof TypeError) announce("failed", "The connection broke off before the end."); // fetch's own messages differ between browsers
  else announce("failed", error.message);
}

export function showError({ message, expected }) {
  query.ariaInvalid = "true";
  problem.textContent = `${message} ${expected}`;
  announce("invalid", "That can’t be controller: see the question.");
}

function clearError() {
  query.ariaInvalid = null;
  problem.textContent = "";
}

// A disabled button loses the focus, so move it to the button that replaces it.
function refresh() {
  const focused = document.activeElement;
  askButton.disabled = Boolean(controller);
  stopButton.disabled = !controller;
  if (focused === askButton && controller) stopButton.focus();
  if (focused === stopButton && !controller) askButton.focus();
}

async function showStandinNotice() {
  const health = await fetch("healthz").then((response) => response.json()).catch(() => ({}));
  document.getElementById("standin").hidden = health.standin !== true;
}

showStandinNotice();
