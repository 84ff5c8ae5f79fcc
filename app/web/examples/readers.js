/** Ways to read `GET /completion`. */

/** An error response: problems by field (422), or a message. */
export class RefusedError extends Error {
  constructor(status, detail) {
    super(typeof detail === "string" ? detail : `The server refused the question (${status}).`);
    this.problems = Array.isArray(detail) ? detail : [];
  }
}

export async function ask(question, signal) {
  const response = await fetch(`completion?${new URLSearchParams({ query: question })}`, { signal });
  if (response.ok) return response;
  const { detail } = await response.json().catch(() => ({})); // a proxy may answer with HTML
  throw new RefusedError(response.status, detail);
}

export async function* pieces(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  // read() rejects if the response is incomplete
  for (let read; !(read = await reader.read()).done; ) yield read.value;
}

export async function whole(response) {
  return await response.text();
}

const UNKNOWN_REASON = "Rejected or disconnected: an EventSource cannot tell which, or why.";

/** Closes at the end and on errors; otherwise the EventSource would send the request again. */
export function listen(question, signal, { opened, show }) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`completion?${new URLSearchParams({ query: question })}`);
    const close = (settle, result) => { source.close(); settle(result); };
    source.onopen = opened;
    source.onmessage = ({ data }) => {
      if (data === "[DONE]") return close(resolve);
      const { response, error } = JSON.parse(data);
      if (error) close(reject, new Error(error)); else show(response);
    };
    source.onerror = () => close(reject, new Error(UNKNOWN_REASON));
    signal.addEventListener("abort", () => close(reject, signal.reason));
  });
}
