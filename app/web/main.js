/**
 * Connects the form, the address and the recipe. The page shows one run at a time: `/r/{id}` a run, `/` the empty form.
 * Leaving a run does not cancel it; only Stop and Reset do, and only for runs that this browser started.
 */

import { stayAwake } from "./wake-lock.js";
import "./clipboard.js";
import { draftAt, saveDraft } from "./drafts.js";
import { showFieldErrors, clear, fillSample, focus, clearUndo, clearFieldErrors, ready, fillForm, refresh, request as formRequest, recipeFields, undoSample } from "./form.js";
import { household, mergedHousehold, tooLong } from "./household.js";
import { saveKey, keyOf } from "./run-keys.js";
import { prefer, preferred } from "./language.js";
import { offerLink } from "./link.js";
import { dishOf } from "./panels.js";
import { Recipe } from "./recipe.js";
import { Run } from "./run.js";
import { cancel, newKey, createRun } from "./api.js";
import { clearText, setText, setLanguage } from "./i18n.js";

const form = document.getElementById("form");
const sheet = document.getElementById("recipe");
const status = document.getElementById("status");
const cookOwn = document.getElementById("cook-own");
const ideas = document.getElementById("other-ideas");
const SCROLL_TO = ["unknown", "expired", "unreachable", "full", "refused", "failed"];
const recipe = new Recipe(sheet);
let run = null; // the one on the page
let creation = null; // identifies the `POST /runs` in progress
let pendingRequest = { key: null, body: null };
let shownStatus = null;

const busy = () => Boolean(creation || (run?.live && run.isOwn));

function announce(key, values) {
  status.dataset.outcome = key;
  setText(status, `status_${key}`, values);
  if (!SCROLL_TO.includes(key)) return;
  history.scrollRestoration = "manual"; // otherwise a reload scrolls past it
  status.scrollIntoView({ block: "nearest", behavior: "instant" });
}

/** Shows the status. Other announcements stay until it changes. */
function update() {
  const current = creation ? ["choosing"] : (run?.status ?? []);
  refresh(busy());
  recipe.offer(!creation && Boolean(run?.rewritable), !busy() && Boolean(run?.request));
  cookOwn.hidden = !run?.request || run.isOwn || busy() || !recipe.name;
  if (run?.isGone) offerLink(false);
  if (JSON.stringify(current) === shownStatus) return;
  shownStatus = JSON.stringify(current);
  if (current.length) announce(...current);
  else silence();
}

function silence() {
  clearText(status);
  delete status.dataset.outcome;
}

async function start(request, onShown = () => {}) {
  const own = (creation = {});
  clearFieldErrors();
  update();
  const answer = await createRun(request, idempotencyKey(request));
  if (creation !== own) return cancelOrphan(answer);
  creation = null;
  if (answer && answer.code !== 503) pendingRequest.body = null;
  if (answer?.code !== 201) return showRefusal(answer);
  saveKey(answer.run_id, answer.key);
  navigate(answer.run_id, request).begin(request);
  onShown();
}

/** Opens the page of a new run, with a draft of its form. */
function navigate(id, request) {
  const { ingredientsOnHand, prepTime, recipe } = request;
  if (run?.request) saveDraft(location.pathname, run.request);
  saveDraft(`/r/${id}`, { ingredientsOnHand, prepTime, ideas: recipe && run ? location.pathname : null });
  history.pushState(null, "", `/r/${id}`);
  return show(id);
}

// A request without a response may have started a run, so repeating it uses the same key.
function idempotencyKey(request) {
  const body = JSON.stringify(request);
  if (pendingRequest.body !== body) pendingRequest = { key: newKey(), body };
  return pendingRequest.key;
}

/** Cancels a run that the user has already left. */
function cancelOrphan(answer) {
  if (answer?.code === 201) cancel(answer.run_id, answer.key);
}

function showRefusal(answer) {
  update();
  if (!answer) return announce("unreachable");
  if (answer.code === 503) return announce("full", answer);
  if (!Array.isArray(answer.detail)) return announce("refused", answer);
  announce("invalid");
  showFieldErrors(answer.detail);
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

/** Shows what the address names. */
function route() {
  dropPendingRequest();
  const draft = draftAt(location.pathname);
  const id = /^\/r\/([^/]+)$/.exec(location.pathname)?.[1];
  if (!id) empty();
  else {
    show(id).open((request) => {
      showLanguage(request.language);
      if (!draft) fillForm(request);
    });
  }
  if (draft) fillForm(draft);
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
  showLanguage(preferred());
  update();
  silence();
}

async function stop() {
  if (run?.live && !creation) return reportRefusal(run, run.stop());
  dropPendingRequest();
  update();
  announce("stopped_early");
}

/** Ignores the pending response. The same request then starts a new run. */
function dropPendingRequest() {
  creation = null;
  pendingRequest.body = null;
}

function reset() {
  if (run?.live && run.isOwn) cancel(run.id, run.key);
  dropPendingRequest();
  if (location.pathname !== "/") history.pushState(null, "", "/");
  empty();
  saveDraft("/", recipeFields());
  focus();
}

/** Shows the server's refusal, if any, unless the run has been left. */
async function reportRefusal(target, response) {
  const refusal = await response;
  if (!refusal || run !== target) return;
  if (refusal.code === 503) announce("full", refusal);
  else announce(refusal.code ? "refused" : "unreachable", refusal);
}

/** Cooks a dish. For somebody else's recipe, the foods that they avoid are avoided, too. */
function cook(dish) {
  document.getElementById("dish").focus();
  const { diet, avoid, servings, ...rest } = run.request;
  const request = { ...rest, ...(run.isOwn ? household() : mergedHousehold(run.request)), recipe: dish };
  const problems = tooLong(request);
  if (problems.length) showFieldErrors(problems);
  else start(request, () => fillForm(request));
}

function showLanguage(language) {
  form.elements.language.value = language;
  setLanguage(language);
}

function chooseLanguage(language) {
  prefer(language);
  showLanguage(language);
}

async function showStandinNotice() {
  const health = await fetch("/healthz").then((response) => response.json()).catch(() => ({}));
  const notice = document.getElementById("standin");
  notice.hidden = health.standin !== true;
  if (notice.hidden || health.standin_steps.length === Object.keys(health.models).length) return;
  setText(notice, "standin_some");
}

function onKeydown(event) {
  if (event.key !== "Enter") return;
  const chord = event.ctrlKey || event.metaKey;
  // Generate moves the focus to Stop, which a repeating key must not press.
  if (chord || (event.repeat && event.target.localName === "button")) event.preventDefault();
  if (chord && ready()) start(formRequest());
}

function onClick({ target }) {
  const button = target.closest("button");
  if (button?.matches(".again")) reportRefusal(run, run.rewrite(button.value));
  if (button?.matches(".cook")) cook(dishOf(button));
}

function onInput({ target }) {
  clearFieldErrors();
  if (target.name === "ingredientsOnHand") clearUndo();
  refresh(busy());
  saveDraft(location.pathname, recipeFields());
}

function listen() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (ready()) start(formRequest());
  });
  form.addEventListener("input", onInput);
  form.elements.language.addEventListener("change", (event) => chooseLanguage(event.target.value));
  document.addEventListener("keydown", onKeydown);
  document.getElementById("stop").addEventListener("click", stop);
  document.getElementById("reset").addEventListener("click", reset);
  document.getElementById("undo").addEventListener("click", undoSample);
  cookOwn.addEventListener("click", () => cook(recipe.dish));
  sheet.addEventListener("click", onClick);
  for (const sample of document.querySelectorAll(".sample")) sample.addEventListener("click", () => fillSample(sample.textContent));
  addEventListener("popstate", route);
  // A page from the back/forward cache has lost its connection.
  addEventListener("pageshow", (event) => event.persisted && run?.live && route());
}

listen();
showLanguage(preferred());
update();
route();
showStandinNotice();
