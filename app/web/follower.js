/**
 * Follows a run's events over any number of connections and delivers them in batches, one per frame.
 *
 * An EventSource reconnects by itself with `Last-Event-ID`. If it gives up, because the response was neither 200 nor 204, or
 * cannot know that its connection is dead, a new one replays the run. Events that are already known arrive as one batch, so
 * the replay is not visible.
 */

import { getRun } from "./api.js";
import { BASE } from "./composition.js";

const KINDS = ["run", "proposal", "alternate", "part_start", "fragment", "part_end", "end"];
const GONE_CODES = [404, 410];
const RETRY_DELAY_MS = 500;
const MAX_RETRY_DELAY_MS = 15_000;
const HIDDEN_FRAME_MS = 250;

const seq = (id) => Number(id?.slice(id.lastIndexOf("-") + 1)) || 0;
const epoch = (id) => id.slice(0, id.lastIndexOf("-"));

export class Follower {
  #id;
  #listener;
  #left = new AbortController();
  #source = null;
  #generation = null;
  #timer = null;
  #retryDelay = RETRY_DELAY_MS;
  #queue = [];
  #replayUntil = 0;
  #isScheduled = false;

  /** `listener` has `events(batch)`, `connected(isConnected)` and `gone(code)`. */
  constructor(id, listener) {
    this.#id = id;
    this.#listener = listener;
    const { signal } = this.#left;
    addEventListener("offline", () => this.#source && listener.connected(false), { signal });
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
    this.#source = new EventSource(`${BASE}/runs/${this.#id}/events`);
    this.#source.onopen = () => this.#listener.connected(true);
    this.#source.onerror = () => this.#onError();
    for (const kind of KINDS) {
      this.#source.addEventListener(kind, ({ data, lastEventId }) =>
        this.#onEvent({ kind, seq: seq(lastEventId), epoch: epoch(lastEventId), ...JSON.parse(data) }),
      );
    }
  }

  /** Replays the run. The first batch ends at the run's current event, or at event number `least` if that is later. */
  async open(least = 0) {
    const run = await this.#fetchState();
    if (!run) return;
    if (run.code !== 200) return this.#later(() => this.open(least));
    this.#queue = [];
    this.#replayUntil = run.status === "running" ? Math.max(least, seq(run.last_event_id)) : Infinity;
    this.listen();
  }

  #close() {
    this.#source?.close();
    clearTimeout(this.#timer);
    this.#source = this.#generation = this.#timer = null;
  }

  #onError() {
    this.#listener.connected(false);
    if (this.#source.readyState === EventSource.CLOSED) this.#check();
  }

  // An EventSource does not see why it was rejected.
  async #check() {
    if (await this.#fetchState()) this.#later(() => this.open());
  }

  /** Fetches the run's state. Resolves with null if the run is gone, or if another call has replaced this one. */
  async #fetchState() {
    this.#close();
    const own = (this.#generation = {});
    const run = (await getRun(this.#id)) ?? {};
    if (this.#generation !== own) return null;
    if (!GONE_CODES.includes(run.code)) return run;
    this.#flush();
    this.#queue = [];
    this.#listener.gone(run.code);
    return null;
  }

  #later(again) {
    this.#listener.connected(false);
    this.#timer = setTimeout(again, this.#retryDelay);
    this.#retryDelay = Math.min(2 * this.#retryDelay, MAX_RETRY_DELAY_MS);
  }

  // A connection that was open when the network failed may be dead without an error.
  #online() {
    if (this.#timer || this.#source?.readyState === EventSource.OPEN) this.open();
  }

  #onEvent(event) {
    if (event.kind === "run") this.#queue = [];
    if (event.kind === "end") this.#close();
    this.#queue.push(event);
    this.#retryDelay = RETRY_DELAY_MS;
    this.#listener.connected(true);
    if (event.kind === "end") this.#replayUntil = 0;
    if (event.seq >= this.#replayUntil) this.#schedule();
  }

  #schedule() {
    this.#replayUntil = 0;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Hidden tabs have timers, but no animation frames.
    if (document.hidden) setTimeout(() => this.#flush(), HIDDEN_FRAME_MS);
    else requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    this.#isScheduled = false;
    if (this.#replayUntil || !this.#queue.length) return;
    const batch = this.#queue;
    this.#queue = [];
    this.#listener.events(batch);
  }
}
