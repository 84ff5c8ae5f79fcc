/** The run on the page: applies its events to the sheet, and has its status, Stop and Retry. Leaving it does not cancel it. */

import { Follower } from "./follower.js";
import { saveEvents, savedEvents } from "./saved-runs.js";
import { cancel, rewrite } from "./api.js";

const SETTLED = { cancelled: "stopped", failed: "failed" };
const TAKEOVER_SHOWN_MS = 4_000;
const GONE = { 404: "unknown", 410: "expired" };

export class Run {
  request = null;
  #follower;
  #events = []; // since the last `run` event
  #sheet;
  #onChange;
  #onOpen = null;
  #isConnected = true;
  #isStopping = false;
  #endEvent = null;
  #lostCode = null;
  #pendingRewrite = null;
  #isLeft = false;
  #epoch = null; // of the last event
  #isTakenOver = false; // a moment ago

  /** `key` is null if somebody else started the run. */
  constructor(id, key, sheet, onChange) {
    this.id = id;
    this.key = key;
    this.#sheet = sheet;
    this.#onChange = onChange;
    this.#follower = new Follower(id, {
      events: (batch) => this.#take(batch),
      connected: (isConnected) => this.#setConnected(isConnected),
      gone: (code) => this.#lose(code),
    });
  }

  get live() {
    return !this.#endEvent && !this.#lostCode;
  }

  get isOwn() {
    return this.key !== null;
  }

  get isGone() {
    return Boolean(this.#lostCode);
  }

  /** Whether its parts can be regenerated. */
  get rewritable() {
    return Boolean(this.isOwn && this.request && !this.#lostCode && !this.#isStopping && !this.#pendingRewrite);
  }

  /** The text key of the status, and its values. */
  get status() {
    const sheet = this.#sheet;
    if (this.#lostCode) return [GONE[this.#lostCode], { written: sheet.hasText }];
    if (this.#endEvent) return this.#outcome();
    if (!this.#isConnected) return [navigator.onLine ? "reconnecting" : "offline"];
    if (this.#isStopping) return ["stopping"];
    if (!this.request) return ["opening"];
    if (this.#isTakenOver) return ["taken_over"];
    if (sheet.retried.length) return ["retrying", { parts: sheet.retried }];
    return [sheet.isChoosing ? "choosing" : "running"];
  }

  /** Follows a new run. */
  begin(request) {
    this.request = request;
    this.#sheet.begin(request);
    this.#follower.listen();
    this.#onChange();
  }

  /** Follows an existing run; `onOpen` receives its request. */
  open(onOpen) {
    this.#onOpen = onOpen;
    this.#sheet.open();
    this.#follower.open();
    this.#onChange();
  }

  leave() {
    this.#isLeft = true;
    this.#follower.leave();
  }

  /** Cancels the run; its stream then ends. Resolves with the server's refusal, if any. */
  async stop() {
    this.#isStopping = true;
    this.#onChange();
    const answer = await cancel(this.id, this.key);
    if (this.#isLeft) return null;
    if (answer?.code in GONE) return this.#lose(answer.code);
    if (answer?.code !== 204) this.#isStopping = false;
    this.#onChange();
    return answer?.code === 204 ? null : (answer ?? {});
  }

  /** Regenerates a part. Resolves with the server's refusal, if any. */
  async rewrite(part) {
    if (!this.rewritable) return null;
    this.#pendingRewrite = { part, attempt: Infinity };
    this.#onChange();
    const answer = await rewrite(this.id, part, this.key);
    if (this.#isLeft) return null;
    if (answer?.code === 202) this.#await(part, answer.attempt);
    else this.#pendingRewrite = null;
    if (answer?.code in GONE) this.#lose(answer.code);
    this.#onChange();
    return answer?.code === 202 || this.#lostCode ? null : (answer ?? {});
  }

  #await(part, attempt) {
    const hasStarted = this.#sheet.attempt(part) >= attempt;
    this.#pendingRewrite = hasStarted ? null : { part, attempt };
    if (hasStarted) return;
    this.#sheet.again(part);
    if (this.#endEvent) this.#reopen();
  }

  // The new events replace `end`.
  #reopen() {
    const { seq } = this.#endEvent;
    this.#endEvent = this.#pendingRewrite = null;
    this.#follower.open(seq);
  }

  #take(batch) {
    for (const event of batch) this.#show(event);
    this.#onChange();
  }

  #show(event) {
    this.#noteEpoch(event);
    if (event.kind === "run") this.#events = [];
    this.#events.push(event);
    if (event.kind === "run") this.#start(event);
    else if (event.kind === "end") this.#end(event);
    else this.#sheet.show(event);
    const { part, attempt } = this.#pendingRewrite ?? {};
    if (event.kind === "part_start" && event.part === part && event.attempt >= attempt) this.#pendingRewrite = null;
  }

  // Another process goes on with a run in a new epoch. After a replay or an end a new epoch means something else.
  #noteEpoch({ kind, epoch }) {
    const isTakeover = this.#epoch !== null && epoch !== this.#epoch && kind !== "run" && !this.#endEvent;
    this.#epoch = epoch;
    if (!isTakeover) return;
    this.#isTakenOver = true;
    setTimeout(() => {
      this.#isTakenOver = false;
      if (!this.#isLeft) this.#onChange();
    }, TAKEOVER_SHOWN_MS);
  }

  #start({ request, understood = {}, parts, at_ms }) {
    this.request = request;
    this.#endEvent = null;
    this.#sheet.begin({ ...request, ...understood }, parts, at_ms);
    this.#onOpen?.(request);
    this.#onOpen = null;
  }

  #end(event) {
    this.#endEvent = event;
    this.#isStopping = false;
    if (this.#pendingRewrite?.attempt < Infinity) return this.#reopen(); // the run ended before the server received the retry
    this.#sheet.finish(SETTLED[event.status] ?? "unfinished", event.at_ms, event.usage);
    if (!this.#lostCode && this.#sheet.hasText) saveEvents(this.id, this.#events);
  }

  #outcome() {
    const { hasText, missing, parts } = this.#sheet;
    const { status, message, total_ms } = this.#endEvent;
    if (status === "cancelled") return [hasText ? "stopped" : "stopped_early"];
    return [status, { missing, parts: parts.length, total_ms, reason: message }];
  }

  #setConnected(isConnected) {
    if (this.#isConnected === isConnected) return;
    this.#isConnected = isConnected;
    this.#onChange();
  }

  #lose(code) {
    this.#lostCode = code;
    if (!this.#endEvent && !this.#sheet.hasText) for (const event of savedEvents(this.id)) this.#show(event);
    if (!this.#endEvent) this.#sheet.lose();
    this.#onChange();
    return null;
  }
}
