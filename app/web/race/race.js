/** Connects the form and the rows. One race at a time; leaving the page ends it and its calls. */

import { events } from "../sse.js";
import { Rows } from "./rows.js";

const form = document.getElementById("form");
const start = document.getElementById("start");
const stop = document.getElementById("stop");
const reason = document.getElementById("reason");
const status = document.getElementById("status");
const rows = new Rows(document.getElementById("entrants"));
const UNREACHABLE = "The server can’t be reached. Check that it is running, then try again.";
let info = null; // the response of GET /race/entrants
let running = null;

function announce(outcome, text) {
  status.dataset.outcome = outcome;
  if (status.textContent !== text) status.textContent = text; // otherwise a screen reader would repeat it
}

function refresh() {
  const focused = document.activeElement;
  start.disabled = Boolean(running) || !info || Boolean(info.off);
  stop.disabled = !running;
  reason.textContent = running ? "Press Stop to end it; the measurements so far are kept." : (info?.off ?? cost());
  // A disabled button loses the focus, so move it to the button that replaces it.
  if (running && focused === start) stop.focus();
  if (!running && focused === stop) start.focus();
}

function cost() {
  if (!info) return "";
  const models = info.entrants.length;
  const rounds = Number(form.elements.rounds.value);
  const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
  const calls = models * (rounds + 1);
  return `${counted(calls, "call")}: ${counted(models, "model")} × (${counted(rounds, "round")} + 1 that is not counted), each of at most ${info.max_tokens} tokens.`;
}

async function race() {
  running = new AbortController();
  refresh();
  rows.begin(info.entrants);
  announce("running", "Starting…");
  const { signal } = running;
  const [outcome, text] = await read(signal);
  running = null;
  rows.finish(...(outcome === "stopped" ? ["stopped", "Stopped"] : ["unfinished", "Not finished"]));
  announce(outcome, text);
  refresh();
}

/** Runs the race. Resolves with its outcome and a message. */
async function read(signal) {
  let hasStarted = false;
  try {
    const response = await fetch("race", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
      body: JSON.stringify({ rounds: Number(form.elements.rounds.value) }),
      signal,
    });
    if (!response.ok) return ["refused", await refusal(response)];
    const progress = new RaceProgress();
    for await (const { event, data } of events(response.body)) {
      signal.throwIfAborted();
      hasStarted = true;
      progress[event]?.(JSON.parse(data));
      if (event === "end") return progress.outcome;
    }
    return ["unfinished", "The connection closed before the race ended. The measurements so far are kept."];
  } catch (error) {
    if (signal.aborted) return ["stopped", "Stopped. The measurements so far are kept."];
    console.warn(error);
    return hasStarted ? ["unfinished", "The connection broke before the race ended. The measurements so far are kept."] : ["unreachable", UNREACHABLE];
  }
}

async function refusal(response) {
  const { detail } = await response.json().catch(() => ({}));
  if (typeof detail === "string") return detail;
  return detail?.map((problem) => problem.message).join(" ") ?? `The server answered with an error (${response.status}). Please try again in a moment.`;
}

/** Applies the events of `POST /race` to the page. */
class RaceProgress {
  #rounds = 0;
  #results = new Map();
  outcome = null;

  start({ entrants, rounds }) {
    this.#rounds = rounds;
    rows.begin(entrants);
    for (const { model } of entrants) rows.state(model, "waiting", "Waiting");
  }

  call({ model, round }) {
    const now = round ? `Round ${round} of ${this.#rounds}` : "Warming up";
    rows.call(model, now);
    announce("running", `${now}…`);
  }

  round({ model, best, median }) {
    rows.figures(model, best, median);
  }

  result(result) {
    this.#results.set(result.model, result);
    rows.result(result);
  }

  end({ ranking }) {
    rows.rank(ranking);
    const failed = ranking.filter((model) => this.#results.get(model).failure);
    const { model, best } = this.#results.get(ranking[0]);
    if (failed.length === ranking.length) this.outcome = ["failed", "No model got through the race. The reasons stand with each."];
    else {
      const first = `Done. The first to write is ${model}: its first token took ${Math.round(best.ttft_ms)} ms.`;
      this.outcome = failed.length ? ["partial", `${first} Failed: ${failed.join(", ")}.`] : ["ok", first];
    }
  }
}

async function loadEntrants() {
  try {
    const response = await fetch("race/entrants");
    if (!response.ok) throw new Error(String(response.status));
    info = await response.json();
    document.getElementById("standin").hidden = !info.standin;
    rows.begin(info.entrants);
  } catch (error) {
    console.warn(error);
    announce("unreachable", UNREACHABLE);
  }
  refresh();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!start.disabled) race();
});
form.elements.rounds.addEventListener("change", refresh);
stop.addEventListener("click", () => running?.abort());
// Start moves the focus to Stop, which a repeating key must not press.
document.addEventListener("keydown", (event) => {
  const { localName } = /** @type {Element} */ (event.target);
  if (event.key === "Enter" && event.repeat && localName === "button") event.preventDefault();
});
loadEntrants();
