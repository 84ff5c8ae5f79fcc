/** Ways to read `GET /completion`. */

/** The server's answer to a question that it did not take: problems by field (422), or a sentence. */
export class Refused extends Error {
  constructor(status, detail) {
    super(typeof detail === "string" ? detail : `The server refused the question (${status}).`);
    this.problems = Array.isArray(detail) ? detail : [];
  }
}

export async function ask(question, signal) {
  const response = await fetch(`/completion?${new URLSearchParams({ query: question })}`, { signal });
  if (response.ok) return response;
  const { detail } = await response.json().catch(() => ({})); // a proxy may answer with HTML
  throw new Refused(response.status, detail);
}

export async function* pieces(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  // read() rejects if the text was broken off
  for (let read; !(read = await reader.read()).done; ) yield read.value;
}

export async function whole(response) {
  return await response.text();
}

const UNTOLD = "Refused or broken off: an EventSource is not told which, or why.";

/** Left open at the end or at an error, an EventSource would ask again. */
export function listen(question, signal, { opened, show }) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`/completion?${new URLSearchParams({ query: question })}`);
    const close = (settle, result) => { source.close(); settle(result); };
    source.onopen = opened;
    source.onmessage = ({ data }) => {
      if (data === "[DONE]") return close(resolve);
      const { response, error } = JSON.parse(data);
      if (error) close(reject, new Error(error)); else show(response);
    };
    source.onerror = () => close(reject, new Error(UNTOLD));
    signal.addEventListener("abort", () => close(reject, signal.reason));
  });
}
