/** One part of the recipe: its text, the state it is in, and what it cost. */

import { Lines } from "./lines.js";
import { hush, say } from "./words.js";

const template = document.getElementById("panel");

export class Panel {
  #find;
  #lines;

  constructor(section) {
    this.section = section;
    this.part = section.dataset.part;
    section.append(template.content.cloneNode(true));
    section.setAttribute("aria-labelledby", `${this.part}-title`);
    this.#find = (selector) => section.querySelector(selector);
    this.#lines = new Lines(this.#find(".body"));
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

  reset() {
    this.#lines.clear();
    this.#find(".trouble").textContent = "";
    hush(this.#find(".figures"));
    this.#enter("idle");
  }

  wait(language) {
    this.reset();
    this.#find(".body").lang = this.#find(".trouble").lang = language;
    this.#enter("waiting", `waiting_${this.part}`);
  }

  retry() {
    this.#lines.clear();
    this.#enter("waiting", "retrying");
  }

  write(text) {
    if (this.state === "waiting") this.#enter("writing");
    this.#lines.append(text);
  }

  list(recipes) {
    if (this.state === "waiting") this.#enter("writing");
    const list = document.createElement("ul");
    list.setAttribute("role", "list");
    list.append(...recipes.map(idea));
    this.#find(".body").replaceChildren(list);
  }

  explain(reason) {
    this.#find(".trouble").textContent = reason;
  }

  end({ status, message, ...figures }) {
    if (message) this.explain(message);
    if (status !== "failed" && figures.model) say(this.#find(".figures"), "figures", figures);
    this.settle(status);
  }

  settle(state) {
    this.#lines.close();
    this.#enter(state);
  }

  #enter(state, word = state) {
    this.section.dataset.state = state;
    this.section.setAttribute("aria-busy", state === "writing");
    this.#find("use").setAttribute("href", `#icon-${state}`);
    say(this.#find(".state span"), `state_${word}`);
  }
}

function idea({ name, intro }) {
  const item = document.createElement("li");
  const strong = document.createElement("strong");
  strong.textContent = name;
  item.append(strong, " ", intro ?? "");
  return item;
}
