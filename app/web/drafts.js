/** What was typed at each address of this tab, and which recipe led to it: both outlive a reload, back and forward. */

import { SESSION, load, store } from "./storage.js";

const MOST = 50;

let drafts = load(SESSION, "drafts", {});

export const draftAt = (path) => drafts[path] ?? null;

export function keepDraft(path, draft) {
  const { [path]: before, ...others } = drafts;
  drafts = Object.fromEntries([...Object.entries(others), [path, { ...before, ...draft }]].slice(-MOST));
  store(SESSION, "drafts", drafts);
}
