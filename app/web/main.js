/**
 * Wires the form, the address and the recipe. One run at a time is on the page: `/r/{id}` shows it, `/` is the empty
 * form. A run that is not on the page any more may write nothing, but goes on; only Stop and Reset end one, and only one
 * that this browser began.
 */

import { stayAwake } from "./awake.js";
import "./copying.js";
import { draftAt, keepDraft } from "./drafts.js";
import { accuse, clear, fill, focus, forgetUndo, forgive, ready, recall, refresh, request, typed, unfill } from "./form.js";
import { household, joined, tooLong } from "./household.js";
import { keep, keyOf } from "./keys.js";
import { prefer, preferred } from "./language.js";
import { offerLink } from "./link.js";
import { dishOf } from "./panels.js";
import { Recipe } from "./recipe.js";
import { Run } from "./run.js";
import { cancel, newKey, order } from "./wire.js";
import { hush, say, speak } from "./words.js";

const form = document.getElementById("form");
const sheet = document.getElementById("recipe");
const status = document.getElementById("status");
const cookOwn = document.getElementById("cook-own");
const ideas = document.getElementById("other-ideas");
const TO_BE_SEEN = ["unknown", "expired", "unreachable", "full", "refused", "failed"];
const recipe = new Recipe(sheet);
let run = null; // the one on the page
let ordered = null; // what was asked for, and has no answer yet
let unanswered = { key: null, body: null };
let standing = null;

const busy = () => Boolean(ordered || (run?.live && run.isOwn));

function announce(word, values) {
  status.dataset.outcome = word;
  say(status, `status_${word}`, values);
  if (!TO_BE_SEEN.includes(word)) return;
  history.scrollRestoration = "manual"; // else a page that is loaded again is scrolled past it
  status.scrollIntoView({ block: "nearest", behavior: "instant" });
}

/** Shows how things stand. What else was announced stays until that changes. */
function update() {
  const now = ordered ? ["choosing"] : (run?.standing ?? []);
  refresh(busy());
  recipe.offer(!ordered && Boolean(run?.rewritable), !busy() && Boolean(run?.request));
  cookOwn.hidden = !run?.request || run.isOwn || busy() || !recipe.name;
  if (run?.isGone) offerLink(false);
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
  const answer = await order(asked, orderKey(asked));
  if (ordered !== mine) return discard(answer);
  ordered = null;
  if (answer && answer.code !== 503) unanswered.body = null;
  if (answer?.code !== 201) return decline(answer);
  keep(answer.run_id, answer.key);
  enter(answer.run_id, asked).begin(asked);
  shown();
}

/** The page of a run that has just begun. What was typed for it goes along. */
function enter(id, asked) {
  const { ingredientsOnHand, prepTime, recipe } = asked;
  if (run?.request) keepDraft(location.pathname, run.request);
  keepDraft(`/r/${id}`, { ingredientsOnHand, prepTime, ideas: recipe && run ? location.pathname : null });
  history.pushState(null, "", `/r/${id}`);
  return show(id);
}

// An order that got no answer may have made a run: whoever asks for the same again gets that one.
function orderKey(asked) {
  const body = JSON.stringify(asked);
  if (unanswered.body !== body) unanswered = { key: newKey(), body };
  return unanswered.key;
}

/** Nobody waits for this run any more. */
function discard(answer) {
  if (answer?.code === 201) cancel(answer.run_id, answer.key);
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
  run = new Run(id, keyOf(id), recipe, update);
  offerLink(true);
  offerIdeas(draftAt(location.pathname)?.ideas);
  stayAwake(true);
  sheet.scrollIntoView({ block: "nearest" });
  return run;
}

function offerIdeas(path) {
  ideas.hidden = !path;
  if (path) ideas.href = path;
}

/** The address says what is on the page. */
function visit() {
  abandon();
  const draft = draftAt(location.pathname);
  const id = /^\/r\/([^/]+)$/.exec(location.pathname)?.[1];
  if (!id) empty();
  else {
    show(id).open((asked) => {
      speakIn(asked.language);
      if (!draft) recall(asked);
    });
  }
  if (draft) recall(draft);
  refresh(busy());
}

function empty() {
  run?.leave();
  run = null;
  recipe.reset();
  offerLink(false);
  offerIdeas(null);
  stayAwake(false);
  clear();
  speakIn(preferred());
  update();
  silence();
}

async function stop() {
  if (run?.live && !ordered) return refused(run, run.stop());
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
  if (run?.live && run.isOwn) cancel(run.id, run.key);
  abandon();
  if (location.pathname !== "/") history.pushState(null, "", "/");
  empty();
  keepDraft("/", typed());
  focus();
}

/** Says what the server said, if it refused and the run is still on the page. */
async function refused(mine, asking) {
  const refusal = await asking;
  if (!refusal || run !== mine) return;
  if (refusal.code === 503) announce("full", refusal);
  else announce(refusal.code ? "refused" : "unreachable", refusal);
}

/** For a dish of a recipe that somebody else began, what they left out is left out too. */
function cook(dish) {
  document.getElementById("dish").focus();
  const { diet, avoid, servings, ...rest } = run.request;
  const asked = { ...rest, ...(run.isOwn ? household() : joined(run.request)), recipe: dish };
  const problems = tooLong(asked);
  if (problems.length) accuse(problems);
  else start(asked, () => recall(asked));
}

function speakIn(language) {
  form.elements.language.value = language;
  speak(language);
}

function choose(language) {
  prefer(language);
  speakIn(language);
}

async function confess() {
  const health = await fetch("/healthz").then((response) => response.json()).catch(() => ({}));
  const notice = document.getElementById("standin");
  notice.hidden = health.standin !== true;
  if (notice.hidden || health.standin_steps.length === Object.keys(health.models).length) return;
  say(notice, "standin_some");
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
  if (button?.matches(".again")) refused(run, run.rewrite(button.value));
  if (button?.matches(".cook")) cook(dishOf(button));
}

function edit({ target }) {
  forgive();
  if (target.name === "ingredientsOnHand") forgetUndo();
  refresh(busy());
  keepDraft(location.pathname, typed());
}

function listen() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (ready()) start(request());
  });
  form.addEventListener("input", edit);
  form.elements.language.addEventListener("change", (event) => choose(event.target.value));
  document.addEventListener("keydown", sends);
  document.getElementById("stop").addEventListener("click", stop);
  document.getElementById("reset").addEventListener("click", reset);
  document.getElementById("undo").addEventListener("click", unfill);
  cookOwn.addEventListener("click", () => cook(recipe.dish));
  sheet.addEventListener("click", pressed);
  for (const sample of document.querySelectorAll(".sample")) sample.addEventListener("click", () => fill(sample.textContent));
  addEventListener("popstate", visit);
  // A page that comes out of the browser's cache has lost its connection.
  addEventListener("pageshow", (event) => event.persisted && run?.live && visit());
}

listen();
speakIn(preferred());
update();
visit();
confess();
