/** The run on the page: what its events make of the recipe, how it stands, Stop and Retry. Leaving it does not end it. */

import { Follower } from "./follow.js";
import { keepEvents, keptEvents } from "./kept.js";
import { cancel, rewrite } from "./wire.js";

const SETTLED = { cancelled: "stopped", failed: "failed" };
const GONE = { 404: "unknown", 410: "expired" };

export class Run {
  request = null;
  #follower;
  #events = []; // so far, from the last `run` on
  #recipe;
  #changed;
  #opened = null;
  #connected = true;
  #stopping = false;
  #ended = null;
  #gone = null;
  #rewritten = null;
  #left = false;

  /** `key` is null for a run that somebody else began. */
  constructor(id, key, recipe, changed) {
    this.id = id;
    this.key = key;
    this.#recipe = recipe;
    this.#changed = changed;
    this.#follower = new Follower(id, {
      events: (batch) => this.#take(batch),
      connected: (whether) => this.#connect(whether),
      gone: (code) => this.#lose(code),
    });
  }

  get live() {
    return !this.#ended && !this.#gone;
  }

  get isOwn() {
    return this.key !== null;
  }

  get isGone() {
    return Boolean(this.#gone);
  }

  /** Whether parts of it can be written again. */
  get rewritable() {
    return Boolean(this.isOwn && this.request && !this.#gone && !this.#stopping && !this.#rewritten);
  }

  /** The word for how it stands, and its values. */
  get standing() {
    const recipe = this.#recipe;
    if (this.#gone) return [GONE[this.#gone], { written: recipe.written }];
    if (this.#ended) return this.#outcome();
    if (!this.#connected) return [navigator.onLine ? "reconnecting" : "offline"];
    if (this.#stopping) return ["stopping"];
    if (!this.request) return ["opening"];
    if (recipe.retried.length) return ["retrying", { parts: recipe.retried }];
    return [recipe.name ? "running" : "choosing"];
  }

  /** Follows a run that has just begun. */
  begin(request) {
    this.request = request;
    this.#recipe.begin(request);
    this.#follower.listen();
    this.#changed();
  }

  /** Follows a run that may be long over; `opened` gets its request. */
  open(opened) {
    this.#opened = opened;
    this.#recipe.open();
    this.#follower.open();
    this.#changed();
  }

  leave() {
    this.#left = true;
    this.#follower.leave();
  }

  /** The stream then ends by itself. Resolves with the server's refusal, if it refuses. */
  async stop() {
    this.#stopping = true;
    this.#changed();
    const answer = await cancel(this.id, this.key);
    if (this.#left) return null;
    if (answer?.code in GONE) return this.#lose(answer.code);
    if (answer?.code !== 204) this.#stopping = false;
    this.#changed();
    return answer?.code === 204 ? null : (answer ?? {});
  }

  /** Resolves with the server's refusal, if it refuses. */
  async rewrite(part) {
    if (!this.rewritable) return null;
    this.#rewritten = { part, attempt: Infinity };
    this.#changed();
    const answer = await rewrite(this.id, part, this.key);
    if (this.#left) return null;
    if (answer?.code === 202) this.#await(part, answer.attempt);
    else this.#rewritten = null;
    if (answer?.code in GONE) this.#lose(answer.code);
    this.#changed();
    return answer?.code === 202 || this.#gone ? null : (answer ?? {});
  }

  #await(part, attempt) {
    const begun = this.#recipe.attempt(part) >= attempt;
    this.#rewritten = begun ? null : { part, attempt };
    if (begun) return;
    this.#recipe.again(part);
    if (this.#ended) this.#reopen();
  }

  // The new events take the place of the `end`, and stand behind all others.
  #reopen() {
    const { seq } = this.#ended;
    this.#ended = this.#rewritten = null;
    this.#follower.open(seq);
  }

  #take(batch) {
    for (const event of batch) this.#show(event);
    this.#changed();
  }

  #show(event) {
    if (event.kind === "run") this.#events = [];
    this.#events.push(event);
    if (event.kind === "run") this.#start(event);
    else if (event.kind === "end") this.#end(event);
    else this.#recipe.show(event);
    const { part, attempt } = this.#rewritten ?? {};
    if (event.kind === "part_start" && event.part === part && event.attempt >= attempt) this.#rewritten = null;
  }

  #start({ request, parts, at_ms }) {
    this.request = request;
    this.#ended = null;
    this.#recipe.begin(request, parts, at_ms);
    this.#opened?.(request);
    this.#opened = null;
  }

  #end(event) {
    this.#ended = event;
    this.#stopping = false;
    if (this.#rewritten?.attempt < Infinity) return this.#reopen(); // it was written before the server heard of Retry
    this.#recipe.finish(SETTLED[event.status] ?? "unfinished", event.at_ms);
    if (!this.#gone && this.#recipe.written) keepEvents(this.id, this.#events);
  }

  #outcome() {
    const { written, missing, parts } = this.#recipe;
    const { status, message, total_ms } = this.#ended;
    if (status === "cancelled") return [written ? "stopped" : "stopped_early"];
    return [status, { missing, parts: parts.length, total_ms, reason: message }];
  }

  #connect(whether) {
    if (this.#connected === whether) return;
    this.#connected = whether;
    this.#changed();
  }

  #lose(code) {
    this.#gone = code;
    if (!this.#ended && !this.#recipe.written) for (const event of keptEvents(this.id)) this.#show(event);
    if (!this.#ended) this.#recipe.lose();
    this.#changed();
    return null;
  }
}
