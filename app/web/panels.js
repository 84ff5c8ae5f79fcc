/** One part: its text and its state. */

import { chooser, optionTexts } from "./composition.js";
import { StreamedText } from "./streamed-text.js";
import { unmarked } from "./markdown.js";
import { setText } from "./i18n.js";

const template = document.getElementById("panel");
const idea = document.getElementById("idea");
const options = new WeakMap(); // by the button that takes it

export class Panel {
  attempt = 0;
  #find;
  #text;
  #again;
  #isBroken = false; // whether the text broke off for a reason other than the token limit

  constructor(part) {
    const section = document.createElement("section");
    this.section = section;
    this.part = part;
    section.className = "panel";
    section.dataset.part = part;
    section.append(template.content.cloneNode(true));
    section.setAttribute("aria-labelledby", `${part}-title`);
    this.#find = (selector) => section.querySelector(selector);
    this.#find("h3").id = `${part}-title`;
    setText(this.#find("h3"), `title_${part}`);
    this.#text = new StreamedText(this.#find(".body"));
    this.#again = this.#button();
    setText(this.#find(".hint"), `hint_${this.part}`);
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

  /** Whether dependent parts can be generated from it. */
  get isEnough() {
    return this.state === "ok" || (this.state === "cut_off" && !this.#isBroken);
  }

  /** Whether it is being regenerated. */
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
    this.#find(".body").lang = this.#find(".trouble").lang = language;
    this.#enter("waiting");
  }

  /** Says which parts it waits for, unless it is being regenerated. */
  waitFor(parts) {
    if (this.state !== "waiting" || this.#stale) return;
    setText(this.#find(".state span"), parts.length ? "state_waiting_for" : "state_waiting", { parts });
  }

  start(attempt) {
    this.attempt = attempt;
    if (attempt > 1) this.again("retrying");
  }

  /** Dims the text until new text replaces it. */
  again(word) {
    this.#text.close();
    this.#forget();
    this.#stale = this.text !== "" || word === "retrying";
    this.#enter("waiting", word);
  }

  write(text) {
    this.#beginText();
    this.#text.append(text);
  }

  /** Adds an option that was not picked. */
  list(option) {
    this.#beginText();
    this.#list(option);
  }

  end({ status, message, finish_reason }) {
    this.#find(".trouble").textContent = (status !== "ok" && message) || "";
    this.#isBroken = status !== "ok" && !finish_reason;
    this.settle(status);
  }

  /** Ends the attempt. Dimmed text that was not replaced becomes current again. */
  settle(state) {
    this.#stale = false;
    this.#text.close();
    this.#enter(state);
  }

  /** Shows or hides the retry button; a hidden one passes its focus to the title. */
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

  #beginText() {
    if (this.#stale) this.#clear();
    if (this.state === "waiting") this.#enter("writing");
  }

  #button() {
    const button = this.#find(".again");
    button.value = this.part;
    button.id = `${this.part}-again`;
    button.setAttribute("aria-labelledby", `${this.part}-again ${this.part}-title`);
    setText(button, this.part === chooser ? "again_choice" : "again");
    return button;
  }

  #clear() {
    this.#stale = false;
    this.#text.clear();
  }

  #forget() {
    this.#find(".trouble").textContent = "";
  }

  #list(option) {
    const { name, about } = optionTexts(option);
    const body = this.#find(".body");
    const list = body.firstElementChild ?? body.appendChild(document.createElement("ul"));
    list.setAttribute("role", "list"); // Safari drops the role where list-style is none
    const item = idea.content.cloneNode(true).firstElementChild;
    const [strong, span, button] = item.children;
    strong.textContent = unmarked(name);
    span.textContent = unmarked(about);
    strong.id = `idea-${list.children.length}`;
    button.id = `take-${list.children.length}`;
    button.setAttribute("aria-labelledby", `${button.id} ${strong.id}`);
    options.set(button, option);
    setText(button, "take");
    list.append(item);
  }

  #enter(state, word = state) {
    this.section.dataset.state = state;
    this.section.setAttribute("aria-busy", String(state === "writing"));
    this.#find("use").setAttribute("href", `#icon-${state}`);
    setText(this.#find(".state span"), `state_${word}`);
  }
}

/** Returns the option that this button takes. */
export const optionAt = (button) => options.get(button);
