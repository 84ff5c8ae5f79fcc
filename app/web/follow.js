/**
 * One run's events, over as many connections as it takes, in batches of one frame.
 *
 * A lost connection is the EventSource's own to mend: it asks again with `Last-Event-ID`. Where it gives up, for the
 * answer was neither 200 nor 204, and where it can't know that its connection is dead, it is begun anew: the run is
 * then replayed, and what it held already comes as one batch, so that nobody sees the replay.
 */

import { look } from "./wire.js";

const KINDS = ["run", "proposal", "part_start", "fragment", "part_end", "end"];
const GONE = [404, 410];
const PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const HIDDEN_FRAME_MS = 250;

const seq = (id) => Number(id?.slice(id.lastIndexOf("-") + 1)) || 0;

export class Follower {
  #id;
  #told;
  #left = new AbortController();
  #source = null;
  #turn = null;
  #timer = null;
  #pause = PAUSE_MS;
  #queue = [];
  #due = 0;
  #booked = false;

  /** `told` gets `events(batch)`, `connected(whether)` and `gone(code)`. */
  constructor(id, told) {
    this.#id = id;
    this.#told = told;
    const { signal } = this.#left;
    addEventListener("offline", () => this.#source && told.connected(false), { signal });
    addEventListener("online", () => this.#online(), { signal });
    document.addEventListener("visibilitychange", () => this.#flush(), { signal });
  }

  leave() {
    this.#left.abort();
    this.#close();
    this.#queue = [];
  }

  listen() {
    this.#close();
    this.#source = new EventSource(`/runs/${this.#id}/events`);
    this.#source.onopen = () => this.#told.connected(true);
    this.#source.onerror = () => this.#lost();
    for (const kind of KINDS) {
      this.#source.addEventListener(kind, ({ data, lastEventId }) =>
        this.#hear({ kind, seq: seq(lastEventId), ...JSON.parse(data) }),
      );
    }
  }

  /** Begins anew. The first batch reaches to where the run is now, and at least to event number `least`. */
  async open(least = 0) {
    const run = await this.#look();
    if (!run) return;
    if (run.code !== 200) return this.#later(() => this.open(least));
    this.#queue = [];
    this.#due = run.status === "running" ? Math.max(least, seq(run.last_event_id)) : Infinity;
    this.listen();
  }

  #close() {
    this.#source?.close();
    clearTimeout(this.#timer);
    this.#source = this.#turn = this.#timer = null;
  }

  #lost() {
    this.#told.connected(false);
    if (this.#source.readyState === EventSource.CLOSED) this.#ask();
  }

  // An EventSource is not told why it was refused.
  async #ask() {
    if (await this.#look()) this.#later(() => this.open());
  }

  /** What the server says of the run; nothing when it no longer has it, or when that no longer matters. */
  async #look() {
    this.#close();
    const mine = (this.#turn = {});
    const run = (await look(this.#id)) ?? {};
    if (this.#turn !== mine) return null;
    if (!GONE.includes(run.code)) return run;
    this.#flush();
    this.#queue = [];
    this.#told.gone(run.code);
    return null;
  }

  #later(again) {
    this.#told.connected(false);
    this.#timer = setTimeout(again, this.#pause);
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MS);
  }

  // A connection that was open when the network went may be dead without knowing it.
  #online() {
    if (this.#timer || this.#source?.readyState === EventSource.OPEN) this.open();
  }

  #hear(event) {
    if (event.kind === "run") this.#queue = [];
    if (event.kind === "end") this.#close();
    this.#queue.push(event);
    this.#pause = PAUSE_MS;
    this.#told.connected(true);
    if (event.kind === "end") this.#due = 0;
    if (event.seq >= this.#due) this.#book();
  }

  #book() {
    this.#due = 0;
    if (this.#booked) return;
    this.#booked = true;
    // No frames come in a hidden tab; timers do.
    if (document.hidden) setTimeout(() => this.#flush(), HIDDEN_FRAME_MS);
    else requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    this.#booked = false;
    if (this.#due || !this.#queue.length) return;
    const batch = this.#queue;
    this.#queue = [];
    this.#told.events(batch);
  }
}
