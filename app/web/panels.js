/** One part of the recipe: its text and the state it is in. */

import { Lines } from "./lines.js";
import { unmarked } from "./markdown.js";
import { say } from "./words.js";

const template = document.getElementById("panel");
const idea = document.getElementById("idea");

export class Panel {
  attempt = 0;
  #find;
  #lines;
  #again;
  #isBroken = false; // whether its text broke off, and not at the limit
  #language = "en";

  constructor(section) {
    this.section = section;
    this.part = section.dataset.part;
    section.append(template.content.cloneNode(true));
    section.setAttribute("aria-labelledby", `${this.part}-title`);
    this.#find = (selector) => section.querySelector(selector);
    this.#lines = new Lines(this.#find(".body"));
    this.#again = this.#button();
    say(this.#find(".hint"), `hint_${this.part}`);
    this.reset();
  }

  get state() {
    return this.section.dataset.state;
  }

  get open() {
    return this.state === "waiting" || this.state === "writing";
  }

  get text() {
    return this.#find(".body").textContent;
  }

  /** Whether something can be made from it. */
  get isEnough() {
    return this.state === "ok" || (this.state === "cut_off" && !this.#isBroken);
  }

  /** Whether it is being written once more. */
  get retried() {
    return this.open && (this.#stale || this.attempt > 1);
  }

  reset() {
    this.attempt = 0;
    this.section.hidden = false;
    this.#clear();
    this.#forget();
    this.#enter("idle");
    this.offer(false);
  }

  wait(language, shown) {
    this.reset();
    this.section.hidden = !shown;
    this.#language = this.#find(".body").lang = this.#find(".trouble").lang = language;
    this.#enter("waiting", `waiting_${this.part}`);
  }

  start(attempt) {
    this.attempt = attempt;
    if (attempt > 1) this.again("retrying");
  }

  /** What it holds is no longer counted, but stays, dimmed, until something takes its place. */
  again(word) {
    this.#lines.close();
    this.#forget();
    this.#stale = this.text !== "" || word === "retrying";
    this.#enter("waiting", word);
  }

  write(text, recipe) {
    if (this.#stale) this.#clear();
    if (this.state === "waiting") this.#enter("writing");
    if (recipe) this.#list(recipe);
    else this.#lines.append(text);
  }

  end({ status, message, finish_reason }) {
    this.#find(".trouble").textContent = (status !== "ok" && message) || "";
    this.#isBroken = status !== "ok" && !finish_reason;
    this.settle(status);
  }

  /** Where nothing has taken the place of what it held, that counts again. */
  settle(state) {
    this.#stale = false;
    this.#lines.close();
    this.#enter(state);
  }

  /** Shows the button that has it written again; one that goes leaves the focus to the title. */
  offer(whether) {
    if (!whether && document.activeElement === this.#again) this.#find("h3").focus();
    this.#again.hidden = !whether;
  }

  get #stale() {
    return "stale" in this.section.dataset;
  }

  set #stale(whether) {
    this.section.toggleAttribute("data-stale", whether);
  }

  #button() {
    const button = this.#find(".again");
    button.value = this.part;
    button.id = `${this.part}-again`;
    button.setAttribute("aria-labelledby", `${this.part}-again ${this.part}-title`);
    say(button, this.part === "alternates" ? "again_alternates" : "again");
    return button;
  }

  #clear() {
    this.#stale = false;
    this.#lines.clear();
  }

  #forget() {
    this.#find(".trouble").textContent = "";
  }

  #list({ name, intro }) {
    const body = this.#find(".body");
    const list = body.firstElementChild ?? body.appendChild(document.createElement("ul"));
    list.setAttribute("role", "list"); // Safari drops the role where list-style is none
    const item = idea.content.cloneNode(true).firstElementChild;
    const [strong, span, button] = item.children;
    strong.textContent = unmarked(name);
    span.textContent = unmarked(intro ?? "");
    strong.id = `idea-${list.children.length}`;
    button.id = `cook-${list.children.length}`;
    button.setAttribute("aria-labelledby", `${button.id} ${strong.id}`);
    say(button, "cook");
    list.append(item);
  }

  #enter(state, word = state) {
    this.section.dataset.state = state;
    this.section.setAttribute("aria-busy", state === "writing");
    this.#find("use").setAttribute("href", `#icon-${state}`);
    say(this.#find(".state span"), `state_${word}`);
  }
}

/** The dish of an idea, by the button below it. */
export function dishOf(button) {
  const [strong, span] = button.closest("li").children;
  return { name: strong.textContent, intro: span.textContent };
}
