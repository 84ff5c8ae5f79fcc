import { onAsk, showCode } from "./question-form.js";
import { ask, pieces, whole } from "./readers.js";
import { StreamedAnswer, seconds } from "./streamed-answer.js";

const blocking = new StreamedAnswer(document.getElementById("blocking"));
const streaming = new StreamedAnswer(document.getElementById("streaming"));
const chart = document.getElementById("chart");
const bars = [[blocking, document.getElementById("blocking-bar")], [streaming, document.getElementById("streaming-bar")]];

async function compare(question, signal, showWhole, showPiece) {
  const response = await ask(question, signal);
  const copy = response.clone(); // both read the same bytes at the same time
  const waiting = whole(copy).then(showWhole);
  const reading = (async () => {
    for await (const text of pieces(response)) showPiece(text);
  })();
  await Promise.all([waiting, reading]);
}

onAsk(async (question, signal) => {
  const began = performance.now();
  for (const [reading] of bars) reading.begin(began);
  const drawing = draw(began);
  try {
    await compare(question, signal, (text) => blocking.write(text), (text) => streaming.write(text));
  } finally {
    drawing.stop();
    for (const [reading] of bars) reading.end();
  }
  return `Streaming showed its first word ${seconds(blocking.first - streaming.first)} earlier, its last at the same time.`;
});

/** Draws both bars on one time axis, in each frame. */
function draw(began) {
  chart.hidden = false;
  let frame = 0;
  const step = (running = true) => {
    const now = running ? performance.now() - began : Math.max(...bars.map(([reading]) => reading.last ?? 0));
    for (const [reading, bar] of bars) show(reading, bar, now, running);
    if (running) frame = requestAnimationFrame(() => step());
  };
  step();
  return { stop() { cancelAnimationFrame(frame); step(false); } };
}

function show(reading, bar, now, running) {
  const { first, last } = reading;
  bar.toggleAttribute("data-start", true);
  bar.toggleAttribute("data-first", first !== null);
  // slightly longer, so that text arriving all at the end is visible
  for (const [name, value] of Object.entries({ start: 0, first: first ?? now, end: first === null ? now : last, now: now * 1.02 })) {
    bar.style.setProperty(`--${name}`, value);
  }
  const nothing = running ? "waiting" : "no word";
  bar.querySelector(".times").textContent = first === null ? nothing : `${seconds(first)} to ${seconds(last)}`;
}

showCode(document.getElementById("code"), compare, whole);
