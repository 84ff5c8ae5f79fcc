/**
 * Wires the form, the address and the recipe. One run at a time is on the page: `/r/{id}` shows it, `/` is the empty
 * form. A run that is not on the page any more may write nothing, but goes on; only Stop and Reset end one.
 */

import { accuse, clear, fill, focus, forgive, ready, recall, refresh, request } from "./form.js";
import { dishOf } from "./panels.js";
import { Recipe } from "./recipe.js";
import { Run } from "./run.js";
import { cancel, newKey, order } from "./wire.js";
import { say, speak, hush } from "./words.js";

const form = document.getElementById("form");
const sheet = document.getElementById("recipe");
const status = document.getElementById("status");
const copy = document.getElementById("copy");
const link = document.getElementById("link");
const recipe = new Recipe(sheet);
let run = null; // the one on the page
let ordered = null; // what was asked for, and has no answer yet
let unanswered = { key: null, body: null };
let preferred = remembered() === "ko" ? "ko" : "en";
let standing = null;

function announce(word, values) {
  status.dataset.outcome = word;
  say(status, `status_${word}`, values);
}

/** Shows how things stand. What else was announced stays until that changes. */
function update() {
  const busy = Boolean(ordered || run?.live);
  const now = ordered ? ["choosing"] : (run?.standing ?? []);
  refresh(busy);
  recipe.offer(!ordered && Boolean(run?.rewritable), !busy && Boolean(run?.request));
  if (JSON.stringify(now) === standing) return;
  standing = JSON.stringify(now);
  if (now.length) announce(...now);
  else silence();
}

function silence() {
  hush(status);
  delete status.dataset.outcome;
}

async function start(asked, shown = () => {}) {
  const mine = (ordered = {});
  forgive();
  update();
  const answer = await order(asked, keyOf(asked));
  if (ordered !== mine) return discard(answer);
  ordered = null;
  if (answer && answer.code !== 503) unanswered.body = null;
  if (answer?.code !== 201) return decline(answer);
  history.pushState(null, "", `/r/${answer.run_id}`);
  show(answer.run_id).begin(asked);
  shown();
}

// An order that got no answer may have made a run: whoever asks for the same again gets that one.
function keyOf(asked) {
  const body = JSON.stringify(asked);
  if (unanswered.body !== body) unanswered = { key: newKey(), body };
  return unanswered.key;
}

/** Nobody waits for this run any more. */
function discard(answer) {
  if (answer?.code === 201) cancel(answer.run_id);
}

function decline(answer) {
  update();
  if (!answer) return announce("unreachable");
  if (answer.code === 503) return announce("full", answer);
  if (!Array.isArray(answer.detail)) return announce("refused", answer);
  announce("invalid");
  accuse(answer.detail);
}

function show(id) {
  run?.leave();
  run = new Run(id, recipe, update);
  share(true);
  sheet.scrollIntoView({ block: "nearest" });
  return run;
}

/** The address says what is on the page. */
function visit() {
  abandon();
  const id = /^\/r\/([^/]+)$/.exec(location.pathname)?.[1];
  if (!id) return empty();
  show(id).open((asked) => {
    speakIn(asked.language);
    recall(asked);
  });
}

function empty() {
  run?.leave();
  run = null;
  recipe.reset();
  share(false);
  clear();
  speakIn(preferred);
  update();
  silence();
}

function stop() {
  if (run?.live && !ordered) return run.stop();
  abandon();
  update();
  announce("stopped_early");
}

/** Whatever comes of what was ordered, it is not for this page; the same again is a run of its own. */
function abandon() {
  ordered = null;
  unanswered.body = null;
}

function reset() {
  if (run?.live) cancel(run.id);
  abandon();
  if (location.pathname !== "/") history.pushState(null, "", "/");
  empty();
  focus();
}

async function rewrite(part) {
  const mine = run;
  const refusal = await run.rewrite(part);
  if (!refusal || run !== mine) return;
  if (refusal.code === 503) announce("full", refusal);
  else announce(refusal.code ? "refused" : "unreachable", refusal);
}

function cook(dish) {
  document.getElementById("dish").focus();
  const asked = { ...run.request, recipe: dish };
  start(asked, () => recall(asked));
}

function share(whether) {
  copy.hidden = !whether;
  link.hidden = true;
  say(copy, "copy");
}

// Where the clipboard is not to be had, as over plain HTTP, the address itself is shown.
async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    say(copy, "copied");
  } catch {
    link.href = link.textContent = location.href;
    link.hidden = false;
    link.focus();
    copy.hidden = true;
  }
}

function speakIn(language) {
  form.elements.language.value = language;
  speak(language);
}

function choose(language) {
  preferred = language;
  speakIn(language);
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

function sends(event) {
  if (event.key !== "Enter") return;
  const chord = event.ctrlKey || event.metaKey;
  // Generate hands the focus to Stop: a key held down must not press that too.
  if (chord || (event.repeat && event.target.localName === "button")) event.preventDefault();
  if (chord && ready()) start(request());
}

function pressed({ target }) {
  const button = target.closest("button");
  if (button?.matches(".again")) rewrite(button.value);
  if (button?.matches(".cook")) cook(dishOf(button));
}

function listen() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (ready()) start(request());
  });
  form.elements.ingredientsOnHand.addEventListener("input", () => {
    forgive();
    refresh(Boolean(ordered || run?.live));
  });
  form.elements.language.addEventListener("change", (event) => choose(event.target.value));
  document.addEventListener("keydown", sends);
  document.getElementById("stop").addEventListener("click", stop);
  document.getElementById("reset").addEventListener("click", reset);
  sheet.addEventListener("click", pressed);
  copy.addEventListener("click", copyLink);
  for (const sample of document.querySelectorAll(".sample")) sample.addEventListener("click", () => fill(sample.textContent));
  addEventListener("popstate", visit);
  // A page that comes out of the browser's cache has lost its connection.
  addEventListener("pageshow", (event) => event.persisted && run?.live && visit());
}

listen();
speakIn(preferred);
update();
if (location.pathname !== "/") visit();
confess();
