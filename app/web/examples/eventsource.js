import { onAsk, showCode } from "./asking.js";
import { listen, Refused } from "./readers.js";
import { Reading, seconds } from "./reading.js";

const reading = new Reading(document.getElementById("reading"));

onAsk(async (question, signal) => {
  // An EventSource can't read a refusal, so what would be refused is not sent.
  if (!question.trim()) throw new Refused(422, [{ message: "Ask something.", expected: "1 to 20,000 characters." }]);
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
