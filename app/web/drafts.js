/** The form's text at each address of this tab, and the recipe that led there. Survives reload, back and forward. */

import { SESSION, load, store } from "./storage.js";

const MAX_DRAFTS = 50;

let drafts = load(SESSION, "drafts", {});

export const draftAt = (path) => drafts[path] ?? null;

export function saveDraft(path, draft) {
  const { [path]: previous, ...others } = drafts;
  drafts = Object.fromEntries([...Object.entries(others), [path, { ...previous, ...draft }]].slice(-MAX_DRAFTS));
  store(SESSION, "drafts", drafts);
}
