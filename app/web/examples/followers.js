/** Four ways to follow a broadcast. Each shows every piece as it arrives and returns the end of the broadcast. */

export async function polling(url, show, signal, every) {
  for (let after = 0; ; await sleep(every, signal)) {
    const { pieces, end } = await get(`${url}?after=${after}`, signal);
    pieces.forEach(show);
    if (end) return end;
    after += pieces.length;
  }
}

export async function longPolling(url, show, signal) {
  for (let after = 0; ; ) {
    const { pieces, end } = await get(`${url}?after=${after}&wait=true`, signal);
    pieces.forEach(show);
    if (end) return end;
    after += pieces.length;
  }
}

export function webSocket(url, show, signal) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url.replace(/^http/, "ws")}/socket`);
    socket.onmessage = ({ data }) => {
      const { end, ...piece } = JSON.parse(data);
      if (end) resolve(end);
      else show(piece);
    };
    socket.onclose = ({ reason }) => reject(new Error(reason || "The socket closed before the end."));
    signal.addEventListener("abort", () => { socket.close(); reject(signal.reason); });
  });
}

export function serverSentEvents(url, show, signal) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`${url}/events`);
    const close = (settle, result) => { source.close(); settle(result); };
    source.onmessage = ({ data }) => show(JSON.parse(data));
    source.addEventListener("end", ({ data }) => close(resolve, JSON.parse(data)));
    source.onerror = () => {
      // otherwise it reconnects by itself with the last id, and the server continues after it
      if (source.readyState === EventSource.CLOSED) close(reject, new Error("The server refused."));
    };
    signal.addEventListener("abort", () => close(reject, signal.reason));
  });
}

/** Returns the offset of the server's clock in milliseconds and its maximum error, from the fastest of nine calls. */
export async function clock(signal) {
  let best = { error: Infinity };
  for (let round = 0; round < 9; round++) {
    const sent = performance.now();
    const { now } = await get("examples/clock", signal);
    const came = performance.now();
    const error = (came - sent) / 2;
    if (error < best.error) best = { offset: now - (sent + came) / 2, error };
  }
  return best;
}

export async function get(url, signal) {
  const response = await fetch(url, { signal });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail ?? `The server answered with an error (${response.status}).`);
  return answer;
}

/** Rejects when the signal aborts. */
function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}
