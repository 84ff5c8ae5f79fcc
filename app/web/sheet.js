/** The parts of a composition on the page; applies the events of a run to them. */

import { chooser, dependents, nearest, needs, needsChoice, optionOf, optionTexts, partNames } from "./composition.js";
import { unmarked } from "./markdown.js";
import { Panel } from "./panels.js";
import { Timeline } from "./timeline.js";
import { clearText, setText } from "./i18n.js";

const documentTitle = document.querySelector("title");
const REGENERABLE = ["failed", "cut_off", "stopped", "unfinished"];

export class Sheet {
  #root;
  #title = document.getElementById("title");
  #tagline = document.getElementById("tagline");
  #subject = document.getElementById("for-whom");
  #again = document.getElementById("again");
  #timeline = new Timeline(document.getElementById("timeline"));
  #panels = Object.fromEntries(partNames.map((part) => [part, new Panel(part)]));
  #language = "en";
  /** @type {(element: HTMLElement, request: object) => void} */
  #showRequest;
  #option = null;

  /** `showRequest` says what the run was requested for. */
  constructor(root, showRequest = (_element, _request) => {}) {
    this.#root = root;
    this.#showRequest = showRequest;
    this.#again.value = chooser ?? "";
    root.querySelector(".panels").append(...this.#all.map((panel) => panel.section));
  }

  /** The option that the parts are about, or null. */
  get option() {
    return this.#option;
  }

  /** Whether an option is yet to be picked. */
  get isChoosing() {
    return chooser !== null && !this.#option;
  }

  /** The names of the parts of this run. */
  get parts() {
    return this.#shown.map((panel) => panel.part);
  }

  /** The parts that are not complete. */
  get missing() {
    return this.#shown.filter((panel) => panel.state !== "ok").map((panel) => panel.part);
  }

  /** The parts that are being regenerated. */
  get retried() {
    return this.#shown.filter((panel) => panel.retried).map((panel) => panel.part);
  }

  get hasText() {
    return this.#option !== null || this.#shown.some((panel) => panel.text !== "");
  }

  attempt(part) {
    return this.#panels[part].attempt;
  }

  open() {
    this.reset("opening");
    clearText(this.#tagline);
  }

  /** Empties the sheet for a run. */
  begin(request, parts, at_ms = 0) {
    const option = optionOf(request);
    const shown = parts ?? partNames.filter((part) => part !== chooser || !option);
    this.#root.dataset.state = "running";
    this.#language = request.language;
    this.#setTitle(chooser ? "choosing" : "title");
    clearText(this.#tagline);
    this.#showRequest(this.#subject, request);
    for (const panel of this.#all) panel.wait(request.language, shown.includes(panel.part));
    this.#timeline.begin(shown, at_ms);
    if (option) this.#take(option);
    this.#showDependencies();
  }

  reset(state = "idle") {
    this.#root.dataset.state = state;
    this.#setTitle(`${state}_title`);
    setText(this.#tagline, "idle_tagline", { parts: partNames.length });
    clearText(this.#subject);
    for (const panel of this.#all) panel.reset();
    this.#timeline.clear();
  }

  /** No more events follow, and how the run ended is unknown. */
  lose() {
    if (this.hasText) this.finish("unfinished");
    else this.reset();
  }

  finish(state, at_ms, usage) {
    for (const panel of this.#shown) if (panel.open) panel.settle(state);
    if (this.isChoosing) this.#setTitle("no_option");
    this.#timeline.finish(at_ms);
    this.#timeline.showUsage(usage);
    this.#root.dataset.state = "finished";
  }

  show(event) {
    this.#timeline.syncClock(event.at_ms);
    if (event.kind === "proposal") return this.#showProposal(event);
    if (!this.parts.includes(event.part)) return;
    if (event.kind === "part_start") this.#start(event);
    if (event.kind === "fragment" || event.kind === "alternate") this.#write(event);
    if (event.kind === "part_end") this.#end(event.part, event, event.at_ms);
  }

  /** Shows that a part is being regenerated, with its dependents. Its text stays until new text replaces it. */
  again(part) {
    if (this.#panels[part].open) return;
    this.#panels[part].again("retrying");
    this.#renew(part === chooser && this.#option ? [] : dependents(part));
    if (part === chooser && !this.#option) this.#setTitle("choosing");
  }

  /** Shows which parts can be regenerated, and whether a run can be started with another option. */
  offer(rewritable, startable) {
    const offered = this.#shown.filter((panel) => rewritable && this.#isRegenerable(panel)).map((panel) => panel.part);
    const whole = this.isChoosing && offered.includes(chooser);
    for (const panel of this.#shown) panel.offer(offered.includes(panel.part) && !(whole && panel.part === chooser));
    if (!whole && document.activeElement === this.#again) this.focus();
    this.#again.hidden = !whole;
    for (const button of this.#root.querySelectorAll(".take")) button.disabled = !startable;
  }

  focus() {
    this.#title.focus();
  }

  get #all() {
    return Object.values(this.#panels);
  }

  get #shown() {
    return this.#all.filter((panel) => !panel.section.hidden);
  }

  /** Whether a part is incomplete, has what it needs, and none of its dependents is being generated. */
  #isRegenerable({ part, state }) {
    if (!REGENERABLE.includes(state)) return false;
    if (this.isChoosing && needsChoice(part)) return false;
    if (!needs(part).every((need) => need === chooser || this.#panels[need].isEnough)) return false;
    return dependents(part).every((dependent) => !this.#panels[dependent].open);
  }

  #renew(parts) {
    for (const part of parts) {
      const panel = this.#panels[part];
      if (!panel.open) panel.again(panel.text ? "retrying" : "waiting");
    }
    this.#showDependencies();
  }

  /** Shows in each waiting panel what it waits for. */
  #showDependencies() {
    for (const panel of this.#shown) panel.waitFor(this.#awaited(panel.part));
  }

  /** The parts that this one waits for, without those that they wait for themselves. */
  #awaited(part) {
    return nearest(needs(part).filter((need) => (need === chooser ? this.isChoosing : !this.#panels[need].isEnough)));
  }

  #showProposal({ options, picked }) {
    const option = options[picked];
    if (!option) return;
    if (this.#option && optionTexts(this.#option).name !== optionTexts(option).name) this.#renew(dependents(chooser));
    this.#take(option);
    this.#showDependencies();
  }

  #take(option) {
    const { name, about } = optionTexts(option);
    clearText(this.#title);
    clearText(this.#tagline);
    clearText(documentTitle);
    this.#option = option;
    this.#title.lang = this.#tagline.lang = this.#language;
    this.#title.textContent = unmarked(name);
    this.#tagline.textContent = unmarked(about);
    document.title = `${this.#title.textContent} · Sizzle`;
  }

  #setTitle(key) {
    this.#option = null;
    setText(this.#title, key);
    setText(documentTitle, "document_title");
  }

  #start({ part, attempt, model, at_ms }) {
    const isRewrite = !this.#panels[part].open;
    this.#timeline.onStart(part, model, at_ms);
    if (isRewrite) this.again(part);
    this.#panels[part].start(attempt);
  }

  #write({ part, text, option, at_ms }) {
    this.#timeline.onText(part, at_ms);
    if (option) this.#panels[part].list(option);
    else this.#panels[part].write(text);
  }

  #end(part, end, at_ms) {
    this.#panels[part].end(end);
    this.#timeline.onEnd(part, end, at_ms);
    this.#showDependencies();
  }
}
