/** Wires the form to the recipe. One run at a time; a run that was reset or followed by another may write no more. */

import { accuse, clear, fill, forgive, ready, refresh, request } from "./form.js";
import { Recipe } from "./recipe.js";
import { generate } from "./wire.js";
import { say, speak, hush } from "./words.js";

const form = document.getElementById("form");
const status = document.getElementById("status");
const recipe = new Recipe(document.getElementById("recipe"));
const SETTLED = { stopped: "stopped", stopped_early: "stopped", cancelled: "stopped", failed: "failed" };
let run = null;

function announce(outcome, values) {
  status.dataset.outcome = outcome;
  say(status, `status_${outcome}`, values);
}

async function start() {
  const mine = (run = new AbortController());
  const asked = request();
  forgive();
  refresh(true);
  recipe.begin(asked.language);
  announce("running");
  document.getElementById("recipe").scrollIntoView({ block: "nearest" });
  const [outcome, values] = await read(asked, mine.signal);
  if (run === mine) end(outcome, values);
}

function end(outcome, values) {
  run = null;
  if (outcome === "invalid") recipe.reset();
  else recipe.finish(SETTLED[outcome] ?? "unfinished");
  announce(outcome, { missing: recipe.missing, total_ms: recipe.elapsed, ...values });
  refresh(false);
  if (outcome === "invalid") accuse(values.detail);
}

/** How the run came out: the word for it, and its values. */
async function read(asked, signal) {
  let heard = null;
  let reason = null;
  try {
    for await (const message of generate(asked, signal)) {
      signal.throwIfAborted();
      heard = message.kind;
      if (heard === "invalid" || heard === "refused") return [heard, message];
      if (heard === "end") return [message.status, { ...message, reason }];
      if (heard === "error" && !message.part) reason = message.message;
      recipe.show(message);
    }
    return ["unfinished"];
  } catch (error) {
    if (signal.aborted) return [recipe.written ? "stopped" : "stopped_early"];
    console.warn(error);
    return [heard ? "unfinished" : "unreachable"];
  }
}

function reset() {
  run?.abort();
  run = null;
  recipe.reset();
  hush(status);
  delete status.dataset.outcome;
  clear();
  refresh(false);
}

function choose(language) {
  form.elements.language.value = language;
  speak(language);
  remember(language);
}

// Storage may be forbidden; the choice then lasts as long as the page.
function remember(language) {
  try {
    localStorage.setItem("language", language);
  } catch {}
}

function remembered() {
  try {
    return localStorage.getItem("language");
  } catch {}
}

async function confess() {
  const health = await fetch("/healthz").then((response) => response.json()).catch(() => ({}));
  document.getElementById("standin").hidden = health.standin !== true;
}

function listen() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (ready()) start();
  });
  form.elements.ingredientsOnHand.addEventListener("input", () => {
    forgive();
    refresh(Boolean(run));
  });
  form.elements.language.addEventListener("change", (event) => choose(event.target.value));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const sends = event.ctrlKey || event.metaKey;
    // Generate hands the focus to Stop: a key held down must not press that too.
    if (sends || (event.repeat && event.target.localName === "button")) event.preventDefault();
    if (sends && ready()) start();
  });
  document.getElementById("stop").addEventListener("click", () => run?.abort());
  document.getElementById("reset").addEventListener("click", reset);
  for (const sample of document.querySelectorAll(".sample")) sample.addEventListener("click", () => fill(sample.textContent));
}

listen();
choose(remembered() === "ko" ? "ko" : "en");
refresh(false);
confess();
