import { announce, onAsk, showCode } from "./question-form.js";
import { clock, get, longPolling, polling, serverSentEvents, webSocket } from "./followers.js";
import { DotPlot } from "./dotplot.js";
import { RefusedError } from "./readers.js";
import { StreamedAnswer } from "./streamed-answer.js";

const every = document.getElementById("every");
const TRANSPORTS = { polling, long_polling: longPolling, websocket: webSocket, sse: serverSentEvents };
const cards = Object.entries(TRANSPORTS).map(([name, follow]) => card(name, follow));

function card(name, follow) {
  const root = document.getElementById(name);
  showCode(root.querySelector("code"), follow);
  return { name, follow, root, reading: new StreamedAnswer(root), plot: new DotPlot(root.querySelector(".plot")), delays: [] };
}

onAsk(async (question, signal) => {
  for (const each of cards) clear(each);
  const { offset, error } = await clock(signal);
  const began = performance.now();
  const url = await start(question, signal);
  for (const { reading } of cards) reading.begin(began);
  announce("running", "One answer is being written, and followed over all four.");
  const ends = await Promise.all(cards.map((each) => followBy(each, url, signal, offset)));
  if (signal.aborted) throw signal.reason;
  await spent(url, signal);
  return verdict(ends, error);
});

async function start(query, signal) {
  const body = JSON.stringify({ query });
  const headers = { "Content-Type": "application/json" };
  const response = await fetch("examples/broadcasts", { method: "POST", headers, body, signal });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new RefusedError(response.status, answer.detail);
  return new URL(`examples/broadcasts/${answer.id}`, document.baseURI).href;
}

/** Returns the end of the broadcast, or nothing if this transport failed; the others continue. */
async function followBy({ follow, root, reading, plot, delays }, url, signal, offset) {
  const show = ({ text, at }) => {
    reading.write(text);
    delays.push(performance.now() + offset - at);
    plot.add(delays.at(-1));
  };
  try {
    const end = await follow(url, show, signal, Number(every.value));
    root.querySelector(".trouble").textContent = end.message ?? "";
    return end;
  } catch (error) {
    if (!signal.aborted) root.querySelector(".trouble").textContent = error.message;
  } finally {
    reading.end();
    summarise(reading, plot, delays);
  }
}

function summarise(reading, plot, delays) {
  if (!delays.length) return;
  const sorted = [...delays].sort((one, other) => one - other);
  const median = sorted[Math.floor((sorted.length - 1) / 2)];
  reading.figure("median", milliseconds(median));
  reading.figure("worst", milliseconds(sorted.at(-1)));
  plot.mark(median, `${delays.length} pieces: median ${milliseconds(median)}, worst ${milliseconds(sorted.at(-1))}`);
}

async function spent(url, signal) {
  const traffic = await get(`${url}/traffic`, signal);
  for (const { name, reading } of cards) {
    const { requests = 0, up = 0, down = 0 } = traffic[name] ?? {};
    reading.figure("requests", requests.toLocaleString("en"));
    reading.figure("up", kilobytes(up));
    reading.figure("down", kilobytes(down));
  }
}

function clear({ root, reading, plot, delays }) {
  reading.begin();
  reading.end();
  for (const figure of root.querySelectorAll("[data-figure]")) figure.textContent = "–";
  root.querySelector(".trouble").textContent = "";
  delays.length = 0;
  plot.clear();
}

function verdict(ends, error) {
  const failed = ends.find((end) => end?.status === "failed");
  if (failed) throw new Error(failed.message);
  if (ends.includes(undefined)) throw new Error("Not every transport came to the end.");
  const same = new Set(cards.map(({ reading }) => reading.text)).size === 1;
  if (!same) throw new Error("The four texts are not the same.");
  const [{ reading }] = cards;
  return `The same ${reading.pieces} pieces over all four. Delays are right to within ${milliseconds(error)}, for the clocks.`;
}

const milliseconds = (ms) => `${ms < 9.95 ? ms.toFixed(1) : Math.round(ms).toLocaleString("en")} ms`;
const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
