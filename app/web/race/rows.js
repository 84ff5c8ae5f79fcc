/** One row for each model: its state, figures, and bars relative to the longest. */

const template = document.getElementById("entrant");
const whole = (number) => Math.round(number).toLocaleString("en");

export class Rows {
  #list;
  #rows = new Map();

  constructor(list) {
    this.#list = list;
  }

  begin(entrants) {
    this.#rows = new Map(entrants.map((entrant) => [entrant.model, { element: element(entrant) }]));
    this.#list.replaceChildren(...this.#elements());
  }

  state(model, state, words) {
    const row = this.#rows.get(model).element;
    row.dataset.state = state;
    row.querySelector("use").setAttribute("href", `#icon-${state}`);
    row.querySelector(".state span").textContent = words;
  }

  /** Only one model is called at a time, so the previous one is waiting again. */
  call(model, words) {
    this.#settle("writing", "waiting", "Waiting");
    this.state(model, "writing", words);
  }

  figures(model, best, median) {
    const row = this.#rows.get(model);
    Object.assign(row, { ttft: best.ttft_ms, tps: median.tokens_per_s });
    row.element.dataset.measured = "";
    write(row.element, ".ttft .value", `${whole(best.ttft_ms)} ms, median ${whole(median.ttft_ms)} ms`);
    write(row.element, ".tps .value", median.tokens_per_s === null ? "not counted" : `median ${whole(median.tokens_per_s)}`);
    const tokens = median.tokens === null ? [] : [`${whole(median.tokens)} tokens`];
    write(row.element, ".figures", ["Medians: total " + whole(median.total_ms) + " ms", ...tokens].join(" · "));
    this.#scale("ttft");
    this.#scale("tps");
  }

  result({ model, failure }) {
    this.state(model, failure ? "failed" : "ok", failure ? "Failed" : "Done");
    write(this.#rows.get(model).element, ".trouble", failure ?? "");
  }

  rank(ranking) {
    this.#rows = new Map(ranking.map((model) => [model, this.#rows.get(model)]));
    this.#elements().forEach((row, place) => write(row, ".rank", row.dataset.state === "ok" ? place + 1 : ""));
    this.#list.replaceChildren(...this.#elements());
  }

  /** Marks the rows that have not finished. */
  finish(state, words) {
    this.#settle("writing", state, words);
    this.#settle("waiting", state, words);
  }

  #settle(from, state, words) {
    for (const [model, row] of this.#rows) if (row.element.dataset.state === from) this.state(model, state, words);
  }

  #scale(figure) {
    const longest = Math.max(...[...this.#rows.values()].map((row) => row[figure] ?? 0));
    for (const row of this.#rows.values()) {
      row.element.querySelector(`.${figure} .bar`).style.setProperty("--share", (row[figure] ?? 0) / (longest || 1));
    }
  }

  #elements() {
    return [...this.#rows.values()].map((row) => row.element);
  }
}

function element({ model, label }) {
  const made = template.content.cloneNode(true).firstElementChild;
  made.dataset.model = model;
  write(made, "h3", model);
  write(made, ".provider", label);
  write(made, ".ttft .value", "–");
  write(made, ".tps .value", "–");
  return made;
}

function write(row, selector, text) {
  row.querySelector(selector).textContent = text;
}
