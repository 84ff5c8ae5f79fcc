/** What `POST /generate` says, as messages: `{kind: "fragment", part, text}` or `{kind: <event name>, …}`. */

import { events } from "./sse.js";

const PARTS = { alt: "alternates", add: "ingredients", int: "intro", ing: "nutrition", sde: "sides", ste: "steps" };
const CHARACTERS = { "⮑": "\n", "&amp;": "&", "&lt;": "<", "&gt;": ">", "&#124;": "|" };

// One pass, so that "&amp;lt;" stays the text "&lt;".
const plain = (sent) => sent.replace(/⮑|&(?:amp|lt|gt|#124);/g, (character) => CHARACTERS[character]);

function message({ event, data }) {
  const bar = data.indexOf("|");
  const rest = data.slice(bar + 1);
  if (event !== "message") return { kind: event, ...JSON.parse(rest) };
  const part = PARTS[data.slice(0, bar)];
  return part && { kind: "fragment", part, text: plain(rest) };
}

export async function* generate(request, signal) {
  const response = await fetch("/generate", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify(request),
    signal,
  });
  if (response.status === 422) yield { kind: "invalid", ...(await response.json()) };
  else if (!response.ok) yield { kind: "refused", code: response.status };
  else yield* messages(response.body);
}

async function* messages(body) {
  yield { kind: "open" };
  for await (const event of events(body)) {
    const known = message(event);
    if (known) yield known;
  }
}
