import { onAsk, showCode } from "./question-form.js";
import { ask, pieces } from "./readers.js";
import { StreamedAnswer, seconds } from "./streamed-answer.js";

const reading = new StreamedAnswer(document.getElementById("reading"));

onAsk(async (question, signal) => {
  reading.begin();
  try {
    for await (const text of pieces(await ask(question, signal))) reading.write(text);
  } finally {
    reading.end();
  }
  return `Done: the first word after ${seconds(reading.first)}, the last after ${seconds(reading.last)}.`;
});

showCode(document.getElementById("code"), ask, pieces);
