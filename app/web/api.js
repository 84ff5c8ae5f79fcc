/** Calls the API of runs. Each function resolves with `{code, wait_s, …JSON}`, or with null if there was no response. */

import { BASE } from "./composition.js";

const TIMEOUT_MS = 15_000;
const keyHeader = (key) => ({ "Sizzle-Run-Key": key });
const RETRY_DELAYS_MS = [400, 1200];

export const cancel = (id, key) => callWithRetries(`${BASE}/runs/${id}`, { method: "DELETE", headers: keyHeader(key) });
export const getRun = (id) => call(`${BASE}/runs/${id}`, { cache: "no-store" });
export const rewrite = (id, part, key) => call(`${BASE}/runs/${id}/parts/${part}`, { method: "POST", headers: keyHeader(key) });

/** `key` is the idempotency key: a repeated call starts no second run. */
export function createRun(request, key) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  return callWithRetries(`${BASE}/runs`, { method: "POST", headers, body: JSON.stringify(request) });
}

// Not crypto.randomUUID, which pages over plain HTTP do not have.
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(36)).join("-");
}

async function callWithRetries(path, options) {
  for (const delay of RETRY_DELAYS_MS) {
    const answer = await call(path, options);
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, delay));
  }
  return call(path, options);
}

async function call(path, options) {
  try {
    const headers = { ...options?.headers, "Accept-Language": document.documentElement.lang }; // for error messages
    const response = await fetch(path, { ...options, headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const body = parse(await response.text());
    return { ...body, code: response.status, wait_s: Number(response.headers.get("Retry-After")) };
  } catch (error) {
    console.warn(error);
    return null;
  }
}

// A proxy may answer in HTML.
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
