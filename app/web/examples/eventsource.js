import { onAsk, showCode } from "./question-form.js";
import { listen, RefusedError } from "./readers.js";
import { StreamedAnswer, seconds } from "./streamed-answer.js";

const reading = new StreamedAnswer(document.getElementById("reading"));

onAsk(async (question, signal) => {
  // An EventSource cannot read an error response, so invalid questions are not sent.
  if (!question.trim()) throw new RefusedError(422, [{ message: "Ask something.", expected: "1 to 20,000 characters." }]);
  let connections = 0;
  const opened = () => reading.figure("connections", ++connections);
  reading.begin();
  reading.figure("connections", connections);
  try {
    await listen(question, signal, { opened, show: (text) => reading.write(text) });
  } finally {
    reading.end();
  }
  return `Done and closed: the first word after ${seconds(reading.first)}, the last after ${seconds(reading.last)}.`;
});

showCode(document.getElementById("code"), listen);
