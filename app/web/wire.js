/** The calls of Wire 2. Each gives the answer as `{code, wait_s, …its JSON}`, or null when there was none. */

const PATIENCE_MS = 15_000;
const keyed = (key) => ({ "Sizzle-Run-Key": key });
const PAUSES_MS = [400, 1200];

export const cancel = (id, key) => persist(`/runs/${id}`, { method: "DELETE", headers: keyed(key) });
export const look = (id) => call(`/runs/${id}`, { cache: "no-store" });
export const rewrite = (id, part, key) => call(`/runs/${id}/parts/${part}`, { method: "POST", headers: keyed(key) });

/** The key says which orders are one and the same, so that asking again makes no second run. */
export function order(request, key) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  return persist("/runs", { method: "POST", headers, body: JSON.stringify(request) });
}

// Not crypto.randomUUID: a page that came over plain HTTP has none.
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(36)).join("-");
}

async function persist(path, options) {
  for (const pause of PAUSES_MS) {
    const answer = await call(path, options);
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  return call(path, options);
}

async function call(path, options) {
  try {
    const headers = { ...options?.headers, "Accept-Language": document.documentElement.lang }; // for what it refuses
    const response = await fetch(path, { ...options, headers, signal: AbortSignal.timeout(PATIENCE_MS) });
    const said = parsed(await response.text());
    return { ...said, code: response.status, wait_s: Number(response.headers.get("Retry-After")) };
  } catch (error) {
    console.warn(error);
    return null;
  }
}

// A proxy may answer in HTML.
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
