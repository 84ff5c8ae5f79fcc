/** The recipe on the page: what each event of a run changes. */

import { showHousehold } from "./household.js";
import { unmarked } from "./markdown.js";
import { Panel } from "./panels.js";
import { Timeline } from "./timeline.js";
import { clearText, setText } from "./i18n.js";

// What is written anew with a part, for it was made from it.
const DEPENDANTS = { alternates: ["ingredients", "intro", "sides", "steps"], ingredients: ["steps"] };
const LACKING = ["failed", "cut_off", "stopped", "unfinished"];

export class Recipe {
  #root;
  #dish = document.getElementById("dish");
  #tagline = document.getElementById("tagline");
  #household = document.getElementById("for-whom");
  #again = document.getElementById("again");
  #timeline = new Timeline(document.getElementById("timeline"));
  #panels = {};
  #language = "en";

  constructor(root) {
    this.#root = root;
    for (const section of root.querySelectorAll("[data-part]")) this.#panels[section.dataset.part] = new Panel(section);
  }

  get name() {
    return this.#dish.dataset.word ? null : this.#dish.textContent;
  }

  /** The names of the parts that this recipe has. */
  get parts() {
    return this.#shown.map((panel) => panel.part);
  }

  /** The parts that are not there as they should be. */
  get missing() {
    return this.#shown.filter((panel) => panel.state !== "ok").map((panel) => panel.part);
  }

  /** The parts that are being written once more. */
  get retried() {
    return this.#shown.filter((panel) => panel.retried).map((panel) => panel.part);
  }

  /** The dish with its tagline, as another run can be asked for. */
  get dish() {
    return { name: this.name, intro: this.#tagline.textContent };
  }

  get hasText() {
    return this.name !== null || this.#shown.some((panel) => panel.text !== "");
  }

  attempt(part) {
    return this.#panels[part].attempt;
  }

  open() {
    this.reset("opening");
    clearText(this.#tagline);
    clearText(this.#household);
  }

  /** A clean sheet for the dish that was chosen, or for one that is still to come. */
  begin(request, parts, at_ms = 0) {
    const { language, recipe } = request;
    const shown = parts ?? Object.keys(this.#panels).filter((part) => part !== "alternates" || !recipe);
    this.#root.dataset.state = "running";
    this.#language = language;
    this.#title("choosing");
    clearText(this.#tagline);
    showHousehold(this.#household, request);
    for (const panel of Object.values(this.#panels)) panel.wait(language, shown.includes(panel.part));
    this.#timeline.begin(shown, at_ms);
    if (recipe) this.#name(recipe);
  }

  reset(state = "idle") {
    this.#root.dataset.state = state;
    this.#title(`${state}_title`);
    setText(this.#tagline, "idle_tagline");
    clearText(this.#household);
    for (const panel of Object.values(this.#panels)) panel.reset();
    this.#timeline.clear();
  }

  /** Nothing more will come, and nobody said how it ended. */
  lose() {
    if (this.hasText) this.finish("unfinished");
    else this.reset();
  }

  finish(state, at_ms) {
    for (const panel of this.#shown) if (panel.open) panel.settle(state);
    if (!this.name) this.#title("no_dish");
    this.#timeline.finish(at_ms);
    this.#root.dataset.state = "finished";
  }

  show(event) {
    this.#timeline.syncClock(event.at_ms);
    if (event.kind === "proposal") return this.#proposal(event);
    if (!this.parts.includes(event.part)) return;
    if (event.kind === "part_start") this.#start(event);
    if (event.kind === "fragment") this.#fragment(event);
    if (event.kind === "part_end") this.#end(event);
  }

  /** Waits for a part to be written once more, which so far stays as it is. */
  again(part) {
    if (this.#panels[part].open) return;
    this.#panels[part].again("retrying");
    const fromIt = part === "alternates" && this.name ? [] : (DEPENDANTS[part] ?? []);
    this.#renew(fromIt);
    if (part === "alternates" && !this.name) this.#title("choosing");
  }

  /** Shows which parts can be written again, and whether another idea can be cooked. */
  offer(rewritable, cookable) {
    const offered = this.#shown.filter((panel) => rewritable && this.#lacks(panel)).map((panel) => panel.part);
    const whole = !this.name && offered.includes("alternates");
    for (const panel of this.#shown) panel.offer(offered.includes(panel.part) && !(whole && panel.part === "alternates"));
    if (!whole && document.activeElement === this.#again) this.#dish.focus();
    this.#again.hidden = !whole;
    for (const button of this.#root.querySelectorAll(".cook")) button.disabled = !cookable;
  }

  get #shown() {
    return Object.values(this.#panels).filter((panel) => !panel.section.hidden);
  }

  /** Whether a part can be written again: it is not as it should be, what it is made from is there, and it is at rest. */
  #lacks({ part, state }) {
    if (!LACKING.includes(state)) return false;
    if (DEPENDANTS.alternates.includes(part) && !this.name) return false;
    if (part === "steps" && !this.#panels.ingredients.isEnough) return false;
    return (DEPENDANTS[part] ?? []).every((dependant) => !this.#panels[dependant].open);
  }

  #renew(parts) {
    for (const part of parts) {
      const panel = this.#panels[part];
      if (!panel.open) panel.again(panel.text ? "retrying" : `waiting_${part}`);
    }
  }

  #proposal({ recipes, picked }) {
    const dish = recipes[picked];
    if (!dish) return;
    if (this.name && this.name !== unmarked(dish.name)) this.#renew(DEPENDANTS.alternates);
    this.#name(dish);
  }

  #name({ name, intro }) {
    clearText(this.#dish);
    clearText(this.#tagline);
    this.#dish.lang = this.#tagline.lang = this.#language;
    this.#dish.textContent = unmarked(name);
    this.#tagline.textContent = unmarked(intro ?? "");
    document.title = `${this.#dish.textContent} · Sizzle`;
  }

  #title(word) {
    setText(this.#dish, word);
    document.title = "Sizzle";
  }

  #start({ part, attempt, model, at_ms }) {
    const rewritten = !this.#panels[part].open;
    this.#timeline.onStart(part, model, at_ms);
    if (rewritten) this.again(part);
    this.#panels[part].start(attempt);
  }

  #fragment({ part, text, recipe, at_ms }) {
    this.#timeline.onText(part, at_ms);
    this.#panels[part].write(text, recipe);
  }

  #end({ part, at_ms, ...end }) {
    this.#panels[part].end(end);
    this.#timeline.onEnd(part, end, at_ms);
  }
}
