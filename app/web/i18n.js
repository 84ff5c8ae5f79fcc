/** The texts of the page. `setText` stores the key on the element, so that `setLanguage` can translate it. */

const seconds = (ms) => (ms / 1000).toFixed(ms < 995 ? 2 : 1);
const dollars = (number) => number.toFixed(number < 0.1 ? 5 : 2);
export const whole = (number) => Math.round(number).toLocaleString("en");
export const enSeconds = (number) => (number === 1 ? "1 second" : `${whole(number)} seconds`);
// Above this rate the whole text arrived in one piece.
const MOST_TOKENS_PER_S = 10_000;
const believable = (rate) => rate != null && rate <= MOST_TOKENS_PER_S;
const NUMBERS = {
  en: [, "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
  ko: [, "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉", "열"],
};
const ALL_PARTS = { 1: "", 2: "Both parts are here." };
const capitalized = (text) => text[0].toUpperCase() + text.slice(1);

const en = {
  language: "Language",
  undo: "Undo",
  choosing: "Choosing…",
  no_option: "Nothing was chosen this time",
  the_choice: "the choice",
  opening_title: "Opening…",
  idle_tagline: ({ parts }) =>
    parts === 1 ? "It appears here while it is written." : `${capitalized(NUMBERS.en[parts] ?? `${parts}`)} parts are written at the same time and appear here as they arrive.`,
  take: "Write this one instead",
  take_own: "Write this one for me",
  again_choice: "Try again, with a new choice",
  other_pages: "Also here",
  hint_choice: "What else was proposed.",
  hint: (needs) => (needs.length ? `Waits for ${needs.map((part) => the("en", part)).join(" and ")}.` : "Starts at once."),
  reason_required: ({ field }) => `Fill in “${en[`field_${field}`]}”.`,
  reason_running: "It is being written. Press Stop to end it.",
  other_ideas: "Back to the other ideas",
  generate: "Generate",
  stop: "Stop",
  reset: "Reset",
  ready: "Ctrl or ⌘ + Enter works too.",
  standin:
    "A rule-based stand-in is answering, not a language model. For real models, set FIREWORKS_API_KEY or GROQ_API_KEY and start Sizzle again.",
  standin_some:
    "A rule-based stand-in, not a language model, writes some parts. For real models, name one for each step or set FIREWORKS_API_KEY or GROQ_API_KEY, and start Sizzle again.",
  for_developers: "For developers",
  account: "Sign in or out",
  examples: "Examples",
  playgrounds: "Playgrounds",
  race: "Race of the models",
  again: "Try again",
  again_whole: "Try again",
  copy: "Copy link",
  copied: "Link copied; it works for a while",
  state_idle: "",
  state_waiting: "Waiting",
  state_waiting_for: ({ parts }) => `Waiting for ${parts.map((part) => the("en", part)).join(" and ")}`,
  state_retrying: "Trying again",
  state_writing: "Writing",
  state_ok: "Done",
  state_cut_off: "Cut short",
  state_failed: "Failed",
  state_stopped: "Stopped",
  state_unfinished: "Not finished",
  figures: ({ model, ttft_ms, tokens_per_s }) =>
    [
      model,
      ttft_ms != null && `first\u00a0token\u00a0${seconds(ttft_ms)}\u00a0s`,
      believable(tokens_per_s) && `${whole(tokens_per_s)}\u00a0tokens/s`,
    ].filter(Boolean).join("\u00a0· "),
  timeline: "How it was written",
  times: ({ start, end }) => `${seconds(start)}–${seconds(end)} s`,
  sum: ({ each, total }) => `One after another: ${seconds(each)} s. Side by side: ${seconds(total)} s.`,
  usage: ({ calls, input_tokens, output_tokens, cost_usd, is_estimated }) =>
    `${calls} calls: ${is_estimated ? "about " : ""}${whole(input_tokens)} tokens in, ${whole(output_tokens)} out` +
    (cost_usd ? `, ${is_estimated ? "about " : ""}$${dollars(cost_usd)}.` : "."),
  status_opening: "Opening…",
  status_choosing: "Waiting for the choice…",
  status_running: "Writing…",
  status_failed: ({ reason }) => reason || "It could not be written. Please try again.",
  status_unknown: ({ written }) =>
    "The server no longer knows this run; it may have been restarted." + (written ? " What is on the page stays." : ""),
  status_expired: ({ written }) =>
    "This run has expired: finished runs are kept only for a while." + (written ? " What is on the page stays." : ""),
  status_full: ({ wait_s }) => `The server is at capacity. Please try again in ${wait_s ? enSeconds(wait_s) : "a moment"}.`,
  status_retrying: ({ parts }) => `Trying again: ${parts.map((part) => en[`title_${part}`]).join(", ")}…`,
  status_reconnecting: "Connection lost. Reconnecting…",
  status_taken_over: "Another server process took over. Unfinished parts begin again.",
  status_offline: "Offline. It continues when you are back online.",
  status_stopping: "Stopping…",
  status_ok: ({ parts }) => `Done. ${ALL_PARTS[parts] ?? `All ${NUMBERS.en[parts] ?? parts} parts are here.`}`.trim(),
  status_partial: ({ missing }) =>
    `Ended, but not complete: ${missing.map((part) => en[`title_${part}`]).join(", ")}. The rest is here.`,
  status_stopped: "Stopped. The text so far stays.",
  status_stopped_early: "Stopped before anything was written.",
  status_unreachable: "The server can’t be reached. Check that it is running, then try again.",
  status_refused: ({ code, detail }) => detail || `The server answered with an error (${code}). Please try again in a moment.`,
  status_invalid: "Please check what you entered.",
};

const ko = {
  language: "언어",
  undo: "되돌리기",
  choosing: "고르는 중…",
  no_option: "이번에는 고르지 못했어요",
  the_choice: "선택을",
  opening_title: "여는 중…",
  idle_tagline: ({ parts }) =>
    parts === 1 ? "쓰이는 대로 이곳에 나타나요." : `${NUMBERS.ko[parts] ?? `${parts}개의`} 부분이 동시에 쓰이며 이곳에 차례로 나타나요.`,
  take: "이걸로 쓰기",
  take_own: "나도 이걸로 쓰기",
  again_choice: "새로 골라 다시 쓰기",
  other_pages: "다른 페이지",
  hint_choice: "함께 제안된 다른 것들.",
  hint: (needs) => (needs.length ? `${needs.map((part) => the("ko", part)).join(", ")} 기다려요.` : "바로 시작해요."),
  reason_required: ({ field }) => `‘${ko[`field_${field}`]}’ 칸을 채워 주세요.`,
  reason_running: "쓰는 중이에요. ‘멈추기’로 끝낼 수 있어요.",
  other_ideas: "다른 아이디어로 돌아가기",
  generate: "만들기",
  stop: "멈추기",
  reset: "처음부터",
  ready: "Ctrl 또는 ⌘ + Enter로도 시작할 수 있어요.",
  standin:
    "지금은 언어 모델이 아니라 규칙 기반 대역이 답하고 있어요. 실제 모델을 쓰려면 FIREWORKS_API_KEY 또는 GROQ_API_KEY를 설정하고 Sizzle을 다시 시작하세요.",
  standin_some:
    "일부는 언어 모델이 아니라 규칙 기반 대역이 쓰고 있어요. 실제 모델을 쓰려면 단계마다 모델을 정하거나 FIREWORKS_API_KEY 또는 GROQ_API_KEY를 설정하고 Sizzle을 다시 시작하세요.",
  for_developers: "개발자용",
  account: "로그인, 로그아웃",
  examples: "예제",
  playgrounds: "플레이그라운드",
  race: "모델 속도 비교",
  again: "다시 쓰기",
  again_whole: "다시 시도하기",
  copy: "링크 복사",
  copied: "링크를 복사했어요. 한동안만 열려요",
  state_idle: "",
  state_waiting: "기다리는 중",
  state_waiting_for: ({ parts }) => `${parts.map((part) => the("ko", part)).join(", ")} 기다리는 중`,
  state_retrying: "다시 시도하는 중",
  state_writing: "쓰는 중",
  state_ok: "완성",
  state_cut_off: "중간에 끊김",
  state_failed: "실패",
  state_stopped: "멈춤",
  state_unfinished: "끝나지 않음",
  figures: ({ model, ttft_ms, tokens_per_s }) =>
    [
      model,
      ttft_ms != null && `첫\u00a0토큰\u00a0${seconds(ttft_ms)}초`,
      believable(tokens_per_s) && `초당\u00a0${whole(tokens_per_s)}토큰`,
    ].filter(Boolean).join("\u00a0· "),
  timeline: "어떻게 쓰였나",
  times: ({ start, end }) => `${seconds(start)}–${seconds(end)}초`,
  sum: ({ each, total }) => `하나씩 차례로 썼다면 ${seconds(each)}초, 나란히 써서 ${seconds(total)}초.`,
  usage: ({ calls, input_tokens, output_tokens, cost_usd, is_estimated }) =>
    `호출 ${calls}번: ${is_estimated ? "약 " : ""}입력 ${whole(input_tokens)}토큰, 출력 ${whole(output_tokens)}토큰` +
    (cost_usd ? `, ${is_estimated ? "약 " : ""}$${dollars(cost_usd)}.` : "."),
  status_opening: "열고 있어요…",
  status_choosing: "무엇으로 쓸지 고르고 있어요…",
  status_running: "쓰고 있어요…",
  status_failed: ({ reason }) => reason || "쓰지 못했어요. 다시 시도해 주세요.",
  status_unknown: ({ written }) =>
    "서버에 이 글이 더는 없어요. 서버가 다시 시작되었을 수 있어요." + (written ? " 화면에 있는 것은 그대로 있어요." : ""),
  status_expired: ({ written }) =>
    "보관 기간이 지났어요. 완성된 글은 잠시 동안만 보관해요." + (written ? " 화면에 있는 것은 그대로 있어요." : ""),
  status_full: ({ wait_s }) => `지금은 서버가 더 받을 수 없어요. ${wait_s ? `${wait_s}초 뒤에` : "잠시 뒤에"} 다시 시도해 주세요.`,
  status_retrying: ({ parts }) => `다시 쓰고 있어요: ${parts.map((part) => ko[`title_${part}`]).join(", ")}…`,
  status_reconnecting: "연결이 끊겼어요. 다시 연결하고 있어요…",
  status_taken_over: "다른 서버가 이어받았어요. 끝나지 않은 부분은 처음부터 다시 써요.",
  status_offline: "오프라인이에요. 연결되면 이어져요.",
  status_stopping: "멈추고 있어요…",
  status_ok: ({ parts }) => (parts === 1 ? "완성했어요." : `완성했어요. ${NUMBERS.ko[parts] ?? `${parts}개의`} 부분이 모두 있어요.`),
  status_partial: ({ missing }) =>
    `끝났지만 다 쓰지는 못했어요: ${missing.map((part) => ko[`title_${part}`]).join(", ")}. 나머지는 모두 있어요.`,
  status_stopped: "멈추었어요. 쓴 것은 그대로 있어요.",
  status_stopped_early: "아무것도 쓰기 전에 멈추었어요.",
  status_unreachable: "서버에 연결할 수 없어요. 서버가 켜져 있는지 확인하고 다시 시도해 주세요.",
  status_refused: ({ code, detail }) => detail || `서버가 오류(${code})로 답했어요. 잠시 뒤 다시 시도해 주세요.`,
  status_invalid: "적은 내용을 확인해 주세요.",
};

export const LANGUAGES = { en, ko };
let messages = en;

/** Adds texts by language, or replaces them. */
export function addTexts(texts) {
  for (const language of Object.keys(LANGUAGES)) Object.assign(LANGUAGES[language], texts[language]);
}

/** A part as the object of a sentence. */
function the(language, part) {
  const texts = LANGUAGES[language];
  return texts[`the_${part}`] ?? (language === "ko" ? `‘${texts[`title_${part}`]}’` : `“${texts[`title_${part}`]}”`);
}

export function setText(element, key, values = {}) {
  element.dataset.word = key;
  element.dataset.values = JSON.stringify(values);
  render(element);
}

/** Empties an element, which is then no longer translated. */
export function clearText(element) {
  delete element.dataset.word;
  delete element.dataset.values;
  element.removeAttribute("lang");
  element.textContent = "";
}

export function setLanguage(language) {
  messages = LANGUAGES[language];
  document.documentElement.lang = language;
  document.querySelectorAll("[data-word]").forEach(render);
}

// Sets `lang`, because the texts also appear inside an answer in another language.
function render(element) {
  const message = messages[element.dataset.word];
  const text = typeof message === "function" ? message(JSON.parse(element.dataset.values)) : message;
  element.lang = document.documentElement.lang;
  if (element.textContent !== text) element.textContent = text; // otherwise a screen reader would repeat it
}
