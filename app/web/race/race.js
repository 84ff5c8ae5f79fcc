/** Wires the form to the rows. One race at a time; leaving the page ends it, and so its calls. */

import { events } from "../sse.js";
import { Rows } from "./rows.js";

const form = document.getElementById("form");
const start = document.getElementById("start");
const stop = document.getElementById("stop");
const reason = document.getElementById("reason");
const status = document.getElementById("status");
const rows = new Rows(document.getElementById("entrants"));
const LOST = "The server can’t be reached. Check that it is running, then try again.";
let known = null; // what GET /race/entrants said
let running = null;

function say(outcome, text) {
  status.dataset.outcome = outcome;
  if (status.textContent !== text) status.textContent = text; // else it would be read out again
}

function refresh() {
  const focused = document.activeElement;
  start.disabled = Boolean(running) || !known || Boolean(known.off);
  stop.disabled = !running;
  reason.textContent = running ? "Stop ends it; what was measured is kept." : (known?.off ?? cost());
  // A button that gets disabled drops the focus to the page's top: hand it to the one that takes its place.
  if (running && focused === start) stop.focus();
  if (!running && focused === stop) start.focus();
}

function cost() {
  if (!known) return "";
  const models = known.entrants.length;
  const rounds = Number(form.elements.rounds.value);
  const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
  const calls = models * (rounds + 1);
  return `${counted(calls, "call")}: ${counted(models, "model")} × (${counted(rounds, "round")} + 1 that is not counted), each of at most ${known.max_tokens} tokens.`;
}

async function race() {
  running = new AbortController();
  refresh();
  rows.begin(known.entrants);
  say("running", "Starting…");
  const { signal } = running;
  const [outcome, text] = await read(signal);
  running = null;
  rows.finish(...(outcome === "stopped" ? ["stopped", "Stopped"] : ["unfinished", "Not finished"]));
  say(outcome, text);
  refresh();
}

/** How the race came out, and what to say of it. */
async function read(signal) {
  let heard = false;
  try {
    const response = await fetch("/race", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
      body: JSON.stringify({ rounds: Number(form.elements.rounds.value) }),
      signal,
    });
    if (!response.ok) return ["refused", await refusal(response)];
    const told = new Told();
    for await (const { event, data } of events(response.body)) {
      signal.throwIfAborted();
      heard = true;
      told[event]?.(JSON.parse(data));
      if (event === "end") return told.outcome;
    }
    return ["unfinished", "The connection closed before the race had ended. What was measured is kept."];
  } catch (error) {
    if (signal.aborted) return ["stopped", "Stopped. What was measured is kept."];
    console.warn(error);
    return heard ? ["unfinished", "The connection broke before the race had ended. What was measured is kept."] : ["unreachable", LOST];
  }
}

async function refusal(response) {
  const { detail } = await response.json().catch(() => ({}));
  if (typeof detail === "string") return detail;
  return detail?.map((problem) => problem.message).join(" ") ?? `The server answered with an error (${response.status}). Please try again in a moment.`;
}

/** What each event of `POST /race` does to the page. */
class Told {
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
    say("running", `${now}…`);
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

async function meet() {
  try {
    const response = await fetch("/race/entrants");
    if (!response.ok) throw new Error(response.status);
    known = await response.json();
    document.getElementById("standin").hidden = !known.standin;
    rows.begin(known.entrants);
  } catch (error) {
    console.warn(error);
    say("unreachable", LOST);
  }
  refresh();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!start.disabled) race();
});
form.elements.rounds.addEventListener("change", refresh);
stop.addEventListener("click", () => running?.abort());
// Start hands the focus to Stop: a key held down must not press that too.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.repeat && event.target.localName === "button") event.preventDefault();
});
meet();
