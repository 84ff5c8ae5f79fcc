/** The recipe on the page: what each message of a run changes. */

import { Panel } from "./panels.js";
import { Timeline } from "./timeline.js";
import { hush, say } from "./words.js";

export class Recipe {
  #root;
  #dish = document.getElementById("dish");
  #tagline = document.getElementById("tagline");
  #timeline = new Timeline(document.getElementById("timeline"));
  #panels = {};
  #unwritten = new Map();
  #booked = false;
  #models = {};
  #language = "en";

  constructor(root) {
    this.#root = root;
    for (const section of root.querySelectorAll("[data-part]")) this.#panels[section.dataset.part] = new Panel(section);
    document.addEventListener("visibilitychange", () => this.#flush());
  }

  get name() {
    return this.#dish.dataset.word ? null : this.#dish.textContent;
  }

  /** The parts that are not there as they should be. */
  get missing() {
    return Object.values(this.#panels).filter((panel) => panel.state !== "ok").map((panel) => panel.part);
  }

  get written() {
    return this.name !== null || Object.values(this.#panels).some((panel) => panel.text !== "");
  }

  get elapsed() {
    return this.#timeline.elapsed;
  }

  begin(language) {
    this.#root.dataset.state = "running";
    this.#unwritten.clear();
    this.#models = {};
    this.#title("choosing");
    hush(this.#tagline);
    for (const panel of Object.values(this.#panels)) panel.wait(language);
    this.#language = language;
    this.#timeline.begin();
  }

  reset() {
    this.#root.dataset.state = "idle";
    this.#unwritten.clear();
    this.#title("idle_title");
    say(this.#tagline, "idle_tagline");
    this.#tagline.removeAttribute("lang");
    for (const panel of Object.values(this.#panels)) panel.reset();
    this.#timeline.clear();
  }

  finish(state) {
    this.#flush();
    for (const panel of Object.values(this.#panels)) if (panel.open) panel.settle(state);
    if (!this.name) this.#title("no_dish");
    this.#timeline.finish();
    this.#root.dataset.state = "finished";
  }

  show(message) {
    if (message.kind === "fragment") return this.#fragment(message);
    this.#flush();
    if (message.part && !(message.part in this.#panels)) return;
    if (message.kind === "proposal") this.#proposal(message);
    if (message.kind === "part_start") this.#start(message);
    if (message.kind === "part_end") this.#end(message);
    if (message.kind === "error" && message.part) this.#panels[message.part].explain(message.message);
  }

  #fragment({ part, text }) {
    this.#timeline.wrote(part);
    if (part === "alternates") return; // the proposal says the same without markup
    this.#unwritten.set(part, (this.#unwritten.get(part) ?? "") + text);
    if (!this.#booked) this.#book();
  }

  #book() {
    this.#booked = true;
    // No frames come in a hidden tab; timers do.
    if (document.hidden) setTimeout(() => this.#flush(), 250);
    else requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    this.#booked = false;
    for (const [part, text] of this.#unwritten) this.#panels[part].write(text);
    this.#unwritten.clear();
  }

  #proposal({ recipes, picked }) {
    const dish = recipes[picked];
    if (dish) this.#name(dish);
    const others = recipes.filter((_, index) => index !== picked);
    if (!others.length) return;
    this.#timeline.wrote("alternates");
    this.#panels.alternates.list(others);
  }

  #name({ name, intro }) {
    hush(this.#dish);
    hush(this.#tagline);
    this.#dish.lang = this.#tagline.lang = this.#language;
    this.#dish.textContent = name;
    this.#tagline.textContent = intro ?? "";
    document.title = `${name} · Sizzle`;
  }

  #title(word) {
    this.#dish.removeAttribute("lang");
    say(this.#dish, word);
    document.title = "Sizzle";
  }

  #start({ part, attempt, model }) {
    this.#models[part] = model;
    if (attempt > 1) this.#panels[part].retry();
    else this.#timeline.started(part);
  }

  #end({ part, ...end }) {
    this.#panels[part].end({ model: this.#models[part], ...end });
    this.#timeline.ended(part, end.status);
  }
}
