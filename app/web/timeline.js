/** Shows when each part waited and was generated, in milliseconds of the run. CSS turns the numbers into bars. */

import { startOrder } from "./composition.js";
import { clearText, setText } from "./i18n.js";

const template = document.getElementById("bar");

export class Timeline {
  #root;
  #zero = 0; // the start of the run, on this page's clock
  #idle = 0; // how long the run was over before a part was regenerated; not shown
  #latest = 0;
  #bars = {};
  #running = false;

  constructor(root) {
    this.#root = root;
  }

  get elapsed() {
    return this.#running ? performance.now() - this.#zero - this.#idle : this.#latest;
  }

  begin(parts, at_ms) {
    this.#zero = Infinity;
    this.#idle = this.#latest = 0;
    this.syncClock(at_ms);
    this.#bars = Object.fromEntries(
      startOrder.filter((part) => parts.includes(part)).map((part) => [part, { row: row(part), over: false }]),
    );
    this.#root.querySelector("ol").replaceChildren(...Object.values(this.#bars).map((bar) => bar.row));
    for (const line of [".sum", ".usage"]) clearText(this.#root.querySelector(line));
    this.#root.hidden = false;
    if (this.#running) return;
    this.#running = true;
    this.#tick();
  }

  clear() {
    this.#running = false;
    this.#root.hidden = true;
  }

  /** Sets the clock. Events arrive late, never early, so the earliest zero is the best. */
  syncClock(at_ms) {
    this.#zero = Math.min(this.#zero, performance.now() - at_ms);
  }

  onStart(part, model, at_ms) {
    const bar = this.#bars[part];
    bar.model = model;
    if (Object.values(this.#bars).every((bar) => bar.over)) this.#idle = at_ms - this.#latest;
    if ("start" in bar) this.#markAborted(bar, at_ms - this.#idle);
    bar.over = false;
    this.#mark(bar, "start", at_ms);
  }

  onText(part, at_ms) {
    const bar = this.#bars[part];
    if ("start" in bar && !("first" in bar)) this.#mark(bar, "first", at_ms);
  }

  /** `end` has the status and the figures of the part. */
  onEnd(part, { status, ttft_ms = null, tokens_per_s = null }, at_ms) {
    const bar = this.#bars[part];
    if (bar.over) return;
    bar.over = true;
    this.#latest = at_ms - this.#idle;
    if (!("start" in bar)) return;
    this.#mark(bar, "end", at_ms);
    bar.row.dataset.state = status;
    if (status !== "failed") setText(bar.row.querySelector(".figures"), "figures", { model: bar.model, ttft_ms, tokens_per_s });
    setText(bar.row.querySelector(".times"), "times", { start: bar.begin ?? bar.start, end: bar.end });
  }

  /** Shows the tokens and the cost of all calls, if the server knows them. */
  showUsage(usage) {
    if (usage?.calls) setText(this.#root.querySelector(".usage"), "usage", usage);
  }

  finish(at_ms = this.elapsed + this.#idle) {
    for (const part of Object.keys(this.#bars)) this.onEnd(part, { status: "stopped" }, at_ms);
    this.#latest = at_ms - this.#idle;
    this.#running = false;
    this.#scale();
    const bars = Object.values(this.#bars);
    if (bars.some((bar) => bar.row.dataset.state !== "ok")) return; // nothing complete to compare
    const each = bars.reduce((sum, bar) => sum + bar.end - bar.start, 0);
    setText(this.#root.querySelector(".sum"), "sum", { each, total: this.elapsed });
  }

  /** Shows the text so far as an aborted attempt. */
  #markAborted(bar, until) {
    this.#set(bar, "begin", bar.begin ?? bar.start);
    this.#set(bar, "spoilt", bar.end ?? until);
    for (const moment of ["first", "end"]) {
      delete bar[moment];
      delete bar.row.dataset[moment];
      bar.row.style.removeProperty(`--${moment}`);
    }
    delete bar.row.dataset.state;
    clearText(bar.row.querySelector(".times"));
    clearText(bar.row.querySelector(".figures"));
  }

  #mark(bar, moment, at_ms) {
    this.#set(bar, moment, at_ms - this.#idle);
  }

  #set(bar, moment, ms) {
    bar[moment] = ms;
    bar.row.dataset[moment] = "";
    bar.row.style.setProperty(`--${moment}`, ms);
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
  setText(made.querySelector(".name"), `title_${part}`);
  return made;
}
