/**
 * Connects a form, the address and the sheet. The page shows one run at a time: `/r/{id}` a run, `/` the empty form, after
 * the path of the composition. Leaving a run does not cancel it; only Stop and Reset do, and only for runs that this
 * browser started.
 */

import { stayAwake } from "./wake-lock.js";
import "./clipboard.js";
import { BASE, composition, linkOthers, withOption } from "./composition.js";
import { draftAt, saveDraft } from "./drafts.js";
import { saveKey, keyOf } from "./run-keys.js";
import { prefer, preferred } from "./language.js";
import { offerLink } from "./link.js";
import { optionAt } from "./panels.js";
import { Sheet } from "./sheet.js";
import { Run } from "./run.js";
import { cancel, newKey, createRun } from "./api.js";
import { clearText, setText, setLanguage } from "./i18n.js";

const HOME = `${BASE}/`;
const SCROLL_TO = ["unknown", "expired", "unreachable", "full", "refused", "failed"];
const root = document.getElementById("sheet");
const status = document.getElementById("status");
const takeOwn = document.getElementById("take-own");
const ideas = document.getElementById("other-ideas");
let form; // a module such as form.js or schema-form.js
let sheet;
let run = null; // the one on the page
let creation = null; // identifies the `POST /runs` in progress
let pendingRequest = { key: null, body: null };
let shownStatus = null;

const busy = () => Boolean(creation || (run?.live && run.isOwn));
const addressOf = (id) => `${BASE}/r/${id}`;

/** Opens the page with this form; `showRequest(element, request)` says what a run was requested for. */
export function openPage(formModule, showRequest) {
  form = formModule;
  sheet = new Sheet(root, showRequest);
  linkOthers(document.getElementById("compositions"));
  listen();
  showLanguage(preferred());
  update();
  route();
  showStandinNotice();
}

function announce(key, values) {
  status.dataset.outcome = key;
  setText(status, `status_${key}`, values);
  if (!SCROLL_TO.includes(key)) return;
  history.scrollRestoration = "manual"; // otherwise a reload scrolls past it
  status.scrollIntoView({ block: "nearest", behavior: "instant" });
}

/** Shows the status. Other announcements stay until it changes. */
function update() {
  const current = creation ? [composition.choice ? "choosing" : "running"] : (run?.status ?? []);
  form.refresh(busy());
  sheet.offer(!creation && Boolean(run?.rewritable), !busy() && Boolean(run?.request));
  takeOwn.hidden = !run?.request || run.isOwn || busy() || !sheet.option;
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
  form.clearFieldErrors();
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
  const isOption = composition.choice && request[composition.choice.noun];
  if (run?.request) saveDraft(location.pathname, run.request);
  saveDraft(addressOf(id), { ...form.draftOf(request), ideas: isOption && run ? location.pathname : null });
  history.pushState(null, "", addressOf(id));
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
  form.showFieldErrors(answer.detail);
}

function show(id) {
  run?.leave();
  run = new Run(id, keyOf(id), sheet, update);
  offerLink(true);
  offerIdeas(draftAt(location.pathname)?.ideas);
  stayAwake(true);
  root.scrollIntoView({ block: "nearest" });
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
  const id = /^\/r\/([^/]+)$/.exec(location.pathname.slice(BASE.length))?.[1];
  if (!id) empty();
  else {
    show(id).open((request) => {
      showLanguage(request.language);
      if (!draft) form.fillForm(request);
    });
  }
  if (draft) form.fillForm(draft);
  form.refresh(busy());
}

function empty() {
  run?.leave();
  run = null;
  sheet.reset();
  offerLink(false);
  offerIdeas(null);
  stayAwake(false);
  form.clear();
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
  if (location.pathname !== HOME) history.pushState(null, "", HOME);
  empty();
  saveDraft(HOME, form.draft());
  form.focus();
}

/** Shows the server's refusal, if any, unless the run has been left. */
async function reportRefusal(target, response) {
  const refusal = await response;
  if (!refusal || run !== target) return;
  if (refusal.code === 503) announce("full", refusal);
  else announce(refusal.code ? "refused" : "unreachable", refusal);
}

/** Starts a run with this option, for the request of the run on the page. */
function take(option) {
  sheet.focus();
  const { request, problems } = form.followUp(run);
  if (problems.length) return form.showFieldErrors(problems);
  const next = withOption(request, option);
  start(next, () => form.fillForm(next));
}

function showLanguage(language) {
  form.language.value = language;
  setLanguage(language);
}

function chooseLanguage(language) {
  prefer(language);
  showLanguage(language);
}

async function showStandinNotice() {
  const health = await fetch("healthz").then((response) => response.json()).catch(() => ({}));
  const notice = document.getElementById("standin");
  notice.hidden = health.standin !== true;
  if (notice.hidden || health.standin_parts.length === Object.keys(health.models).length) return;
  setText(notice, "standin_some");
}

function onKeydown(event) {
  if (event.key !== "Enter") return;
  const chord = event.ctrlKey || event.metaKey;
  // Generate moves the focus to Stop, which a repeating key must not press.
  if (chord || (event.repeat && event.target.localName === "button")) event.preventDefault();
  if (chord && form.ready()) start(form.request());
}

function onClick({ target }) {
  const button = target.closest("button");
  if (button?.matches(".again")) reportRefusal(run, run.rewrite(button.value));
  if (button?.matches(".take")) take(optionAt(button));
}

function onInput({ target }) {
  form.clearFieldErrors();
  form.onInput(target);
  form.refresh(busy());
  saveDraft(location.pathname, form.draft());
}

function listen() {
  form.element.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.ready()) start(form.request());
  });
  form.element.addEventListener("input", onInput);
  form.language.addEventListener("change", (event) => chooseLanguage(event.target.value));
  document.addEventListener("keydown", onKeydown);
  document.getElementById("stop").addEventListener("click", stop);
  document.getElementById("reset").addEventListener("click", reset);
  takeOwn.addEventListener("click", () => take(sheet.option));
  root.addEventListener("click", onClick);
  addEventListener("popstate", route);
  // A page from the back/forward cache has lost its connection.
  addEventListener("pageshow", (event) => event.persisted && run?.live && route());
}
