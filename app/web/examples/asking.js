/** The question box of every example: asks, stops, says how it went, and shows the code that did it. */

import { Refused } from "./readers.js";

const form = document.getElementById("form");
const { query } = form.elements;
const askButton = document.getElementById("ask");
const stopButton = document.getElementById("stop");
const problem = document.getElementById("query-error");
const status = document.getElementById("status");
let asked = null;

/** Calls `answer(question, signal)` for each question; what it returns is the last status, what it throws is shown. */
export function onAsk(answer) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!asked) run(answer);
  });
  stopButton.addEventListener("click", () => asked?.abort());
  query.addEventListener("input", forgive);
  query.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  askButton.disabled = false;
}

/** Puts the source of the functions that run here on the page. */
export function showCode(place, ...functions) {
  place.textContent = functions.map((each) => each.toString()).join("\n\n");
}

export function announce(outcome, text) {
  status.dataset.outcome = outcome;
  status.textContent = text;
}

async function run(answer) {
  const { signal } = (asked = new AbortController());
  forgive();
  refresh();
  announce("running", "Waiting for the first word …");
  status.scrollIntoView({ block: "nearest" });
  try {
    announce("ok", await answer(query.value, signal));
  } catch (error) {
    fail(error, signal);
  }
  asked = null;
  refresh();
  if (query.ariaInvalid) query.focus();
}

function fail(error, signal) {
  if (signal.aborted) announce("stopped", "Stopped. What was written is kept.");
  else if (error instanceof Refused && error.problems.length) accuse(error.problems[0]);
  else if (error instanceof TypeError) announce("failed", "The connection broke off before the end."); // fetch's own words differ
  else announce("failed", error.message);
}

export function accuse({ message, expected }) {
  query.ariaInvalid = "true";
  problem.textContent = `${message} ${expected}`;
  announce("invalid", "That can’t be asked: see the question.");
}

function forgive() {
  query.ariaInvalid = null;
  problem.textContent = "";
}

// A button that gets disabled drops the focus to the page's top: hand it to the one that takes its place.
function refresh() {
  const focused = document.activeElement;
  askButton.disabled = Boolean(asked);
  stopButton.disabled = !asked;
  if (focused === askButton && asked) stopButton.focus();
  if (focused === stopButton && !asked) askButton.focus();
}

async function confess() {
  const health = await fetch("/healthz").then((response) => response.json()).catch(() => ({}));
  document.getElementById("standin").hidden = health.standin !== true;
}

confess();
