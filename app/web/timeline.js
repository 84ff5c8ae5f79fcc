/** When each part waited and wrote, in milliseconds since Generate, as this page saw it. CSS turns the numbers into bars. */

import { hush, say } from "./words.js";

const template = document.getElementById("bar");
const ORDER = ["nutrition", "alternates", "ingredients", "intro", "sides", "steps"];

export class Timeline {
  #root;
  #zero = 0;
  #bars = {};
  #running = false;

  constructor(root) {
    this.#root = root;
  }

  get elapsed() {
    return performance.now() - this.#zero;
  }

  begin() {
    this.#zero = performance.now();
    this.#bars = Object.fromEntries(ORDER.map((part) => [part, { row: row(part) }]));
    this.#root.querySelector("ol").replaceChildren(...Object.values(this.#bars).map((bar) => bar.row));
    hush(this.#root.querySelector(".sum"));
    this.#root.hidden = false;
    this.#running = true;
    this.#tick();
  }

  clear() {
    this.#running = false;
    this.#root.hidden = true;
  }

  started(part) {
    this.#mark(part, "start");
  }

  wrote(part) {
    const bar = this.#bars[part];
    if ("start" in bar && !("first" in bar)) this.#mark(part, "first");
  }

  ended(part, status) {
    const bar = this.#bars[part];
    if (!("start" in bar) || "end" in bar) return;
    this.#mark(part, "end");
    bar.row.dataset.state = status;
    say(bar.row.querySelector(".times"), "times", { start: bar.start, end: bar.end });
  }

  finish() {
    for (const part of ORDER) this.ended(part, "stopped");
    this.#running = false;
    this.#scale();
    const bars = Object.values(this.#bars);
    if (bars.some((bar) => bar.row.dataset.state !== "ok")) return; // nothing whole to compare
    const each = bars.reduce((sum, bar) => sum + bar.end - bar.start, 0);
    say(this.#root.querySelector(".sum"), "sum", { each, total: this.elapsed });
  }

  #mark(part, moment) {
    const bar = this.#bars[part];
    bar[moment] = this.elapsed;
    bar.row.dataset[moment] = "";
    bar.row.style.setProperty(`--${moment}`, bar[moment]);
  }

  #scale() {
    this.#root.style.setProperty("--now", this.elapsed);
  }

  #tick() {
    if (!this.#running) return;
    this.#scale();
    requestAnimationFrame(() => this.#tick());
  }
}

function row(part) {
  const made = template.content.cloneNode(true).firstElementChild;
  made.dataset.part = part;
  say(made.querySelector(".name"), part);
  return made;
}
