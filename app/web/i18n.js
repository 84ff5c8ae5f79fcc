/** The texts of the page. `setText` stores the key on the element, so that `setLanguage` can translate it. */

const seconds = (ms) => (ms / 1000).toFixed(ms < 995 ? 2 : 1);
const whole = (number) => Math.round(number).toLocaleString("en");
const enSeconds = (number) => (number === 1 ? "1 second" : `${whole(number)} seconds`);
// Above this rate the whole text arrived in one piece.
const MOST_TOKENS_PER_S = 10_000;
const believable = (rate) => rate != null && rate <= MOST_TOKENS_PER_S;
const NUMBERS = { en: { 5: "five", 6: "six" }, ko: { 5: "다섯", 6: "여섯" } };

const en = {
  on_hand: "What’s in your kitchen?",
  try_one: "Or try",
  sample_1: "beef flank, onions, peppers",
  sample_2: "eggs, potatoes, spinach",
  sample_3: "salmon, lemon, dill",
  sample_4: "chickpeas, tomatoes, rice",
  prep_time: "Time you have",
  minutes: ({ n }) => `${n} minutes`,
  language: "Language",
  household: "Diet, allergies, servings",
  diet: "Diet",
  diet_1: "vegetarian",
  diet_2: "vegan",
  diet_3: "pescatarian",
  diet_4: "halal",
  diet_5: "kosher",
  diet_6: "gluten-free",
  diet_7: "lactose-free",
  avoid: "Leave out (allergies, dislikes)",
  avoid_hint: "With commas: peanuts, shellfish. Kept in this browser for every recipe.",
  servings: "Servings",
  for_whom: ({ servings, diet, avoid, minutes }) =>
    [`For ${servings}`, diet, avoid && `without ${avoid}`, minutes && `${minutes} minutes at most`].filter(Boolean).join(" · "),
  undo: "Undo",
  cook_own: "Cook this yourself",
  other_ideas: "Back to the other ideas",
  generate: "Generate",
  stop: "Stop",
  reset: "Reset",
  ready: "Ctrl or ⌘ + Enter works too.",
  reason_short: "Name at least one ingredient.",
  reason_long: ({ n }) => `Keep it within 2,000 characters; this is ${whole(n)}.`,
  reason_letters: "Name the ingredients in words.",
  reason_joined: ({ n }) =>
    `Together with this recipe's own list it has ${whole(n)} characters, and 300 are the most: leave something out.`,
  reason_running: "A recipe is being written. Stop ends it.",
  notice:
    "Written by a machine, which can be wrong: check every ingredient for allergens, and that meat, fish and eggs are cooked through.",
  standin:
    "A rule-based stand-in is answering, not a language model. For real models, set FIREWORKS_API_KEY or GROQ_API_KEY and start Sizzle again.",
  standin_some:
    "A rule-based stand-in, not a language model, writes some parts. For real models, name one for each step or set FIREWORKS_API_KEY or GROQ_API_KEY, and start Sizzle again.",
  for_developers: "For developers",
  examples: "Examples",
  playgrounds: "Playgrounds",
  race: "Race of the models",
  again: "Try again",
  again_alternates: "Try again, with a new dish",
  again_whole: "Try again",
  cook: "Cook this instead",
  copy: "Copy link",
  copied: "Link copied; it works for a while",
  idle_title: "Ingredients in, recipe out.",
  idle_tagline:
    "Say what you have and how long you have. Six parts of one recipe are written at the same time and appear here as they come.",
  opening_title: "Opening the recipe…",
  choosing: "Choosing a dish…",
  no_dish: "No dish this time",
  intro: "About this dish",
  ingredients: "Ingredients",
  steps: "Steps",
  sides: "On the side",
  nutrition: "Good to know",
  alternates: "Other ideas",
  hint_intro: "Where the dish comes from, how it tastes, when to serve it.",
  hint_ingredients: "Everything you need, with amounts: what you have first, then the rest.",
  hint_steps: "What to do, one step at a time, within the time you have.",
  hint_sides: "Three things to put next to it.",
  hint_nutrition: "What each of your ingredients is good for.",
  hint_alternates: "What else your kitchen could make.",
  state_idle: "",
  state_waiting: "Waiting",
  state_waiting_intro: "Waiting for the dish",
  state_waiting_ingredients: "Waiting for the dish",
  state_waiting_steps: "Waiting for the ingredients",
  state_waiting_sides: "Waiting for the dish",
  state_waiting_nutrition: "Waiting",
  state_waiting_alternates: "Waiting",
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
  status_opening: "Opening the recipe…",
  status_choosing: "Waiting for the dish…",
  status_running: "Writing your recipe…",
  status_retrying: ({ parts }) => `Trying again: ${parts.map((part) => en[part]).join(", ")}…`,
  status_reconnecting: "Connection lost. Reconnecting…",
  status_offline: "Offline. It goes on when you are back.",
  status_stopping: "Stopping…",
  status_ok: ({ parts }) => `Done. All ${NUMBERS.en[parts] ?? parts} parts are here.`,
  status_partial: ({ missing }) =>
    `Ended, but not complete: ${missing.map((part) => en[part]).join(", ")}. The rest is here.`,
  status_failed: ({ reason }) => reason || "The recipe could not be written. Please try again.",
  status_stopped: "Stopped. What was written is kept.",
  status_stopped_early: "Stopped before anything was written.",
  status_unknown: ({ written }) =>
    "The server no longer knows this recipe; it may have been restarted." + (written ? " What is on the page stays." : ""),
  status_expired: ({ written }) =>
    "This recipe has expired: a finished one is kept for a while only." + (written ? " What is on the page stays." : ""),
  status_unreachable: "The server can’t be reached. Check that it is running, then try again.",
  status_full: ({ wait_s }) => `The server is at capacity. Please try again in ${wait_s ? enSeconds(wait_s) : "a moment"}.`,
  status_refused: ({ code, detail }) => detail || `The server answered with an error (${code}). Please try again in a moment.`,
  status_invalid: "Please look at what you entered.",
};

const ko = {
  on_hand: "집에 어떤 재료가 있나요?",
  try_one: "예를 들면",
  sample_1: "소고기, 양파, 파프리카",
  sample_2: "두부, 김치, 대파",
  sample_3: "달걀, 감자, 시금치",
  sample_4: "닭고기, 고구마, 양배추",
  prep_time: "쓸 수 있는 시간",
  minutes: ({ n }) => `${n}분`,
  language: "언어",
  household: "식단, 알레르기, 인분",
  diet: "식단",
  diet_1: "채식",
  diet_2: "비건",
  diet_3: "페스코 채식",
  diet_4: "할랄",
  diet_5: "코셔",
  diet_6: "글루텐 프리",
  diet_7: "유당 제한",
  avoid: "빼야 할 재료 (알레르기 등)",
  avoid_hint: "쉼표로 나눠 주세요: 땅콩, 조개류. 이 브라우저에 저장되어 모든 레시피에 쓰여요.",
  servings: "인분",
  for_whom: ({ servings, diet, avoid, minutes }) =>
    [`${servings}인분`, diet, avoid && `${avoid} 빼고`, minutes && `${minutes}분 이내`].filter(Boolean).join(" · "),
  undo: "되돌리기",
  cook_own: "나도 이 요리 만들기",
  other_ideas: "다른 아이디어로 돌아가기",
  generate: "만들기",
  stop: "멈추기",
  reset: "처음부터",
  ready: "Ctrl 또는 ⌘ + Enter로도 시작할 수 있어요.",
  reason_short: "재료를 하나 이상 적어 주세요.",
  reason_long: ({ n }) => `2,000자까지 쓸 수 있어요. 지금은 ${whole(n)}자입니다.`,
  reason_letters: "재료 이름을 글자로 적어 주세요.",
  reason_joined: ({ n }) =>
    `이 레시피에 적힌 것과 합치면 ${whole(n)}자예요. 300자까지만 쓸 수 있으니 줄여 주세요.`,
  reason_running: "레시피를 쓰는 중이에요. ‘멈추기’로 끝낼 수 있어요.",
  notice: "기계가 쓴 레시피라 틀릴 수 있어요. 재료마다 알레르기 성분을 확인하고, 고기와 생선, 달걀은 속까지 익혀 드세요.",
  standin:
    "지금은 언어 모델이 아니라 규칙 기반 대역이 답하고 있어요. 실제 모델을 쓰려면 FIREWORKS_API_KEY 또는 GROQ_API_KEY를 설정하고 Sizzle을 다시 시작하세요.",
  standin_some:
    "일부는 언어 모델이 아니라 규칙 기반 대역이 쓰고 있어요. 실제 모델을 쓰려면 단계마다 모델을 정하거나 FIREWORKS_API_KEY 또는 GROQ_API_KEY를 설정하고 Sizzle을 다시 시작하세요.",
  for_developers: "개발자용",
  examples: "예제",
  playgrounds: "플레이그라운드",
  race: "모델 속도 비교",
  again: "다시 쓰기",
  again_alternates: "새 요리로 다시 쓰기",
  again_whole: "다시 시도하기",
  cook: "이 요리로 만들기",
  copy: "링크 복사",
  copied: "링크를 복사했어요. 한동안만 열려요",
  idle_title: "재료만 알려 주세요.",
  idle_tagline: "가진 재료와 시간을 적으면, 한 레시피의 여섯 부분이 동시에 쓰이며 이곳에 차례로 나타납니다.",
  opening_title: "레시피를 여는 중…",
  choosing: "요리를 고르는 중…",
  no_dish: "요리를 정하지 못했어요",
  intro: "요리 이야기",
  ingredients: "재료",
  steps: "만드는 법",
  sides: "곁들이면 좋은 것",
  nutrition: "알아 두면 좋은 것",
  alternates: "다른 아이디어",
  hint_intro: "어디에서 온 요리인지, 어떤 맛인지, 언제 먹으면 좋은지.",
  hint_ingredients: "필요한 재료와 분량. 가진 것부터 차례로.",
  hint_steps: "주어진 시간 안에, 한 단계씩.",
  hint_sides: "함께 내면 좋은 세 가지.",
  hint_nutrition: "가진 재료가 몸에 어떻게 좋은지.",
  hint_alternates: "같은 재료로 만들 수 있는 다른 요리.",
  state_idle: "",
  state_waiting: "기다리는 중",
  state_waiting_intro: "요리를 기다리는 중",
  state_waiting_ingredients: "요리를 기다리는 중",
  state_waiting_steps: "재료 목록을 기다리는 중",
  state_waiting_sides: "요리를 기다리는 중",
  state_waiting_nutrition: "기다리는 중",
  state_waiting_alternates: "기다리는 중",
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
  status_opening: "레시피를 열고 있어요…",
  status_choosing: "요리를 기다리고 있어요…",
  status_running: "레시피를 쓰고 있어요…",
  status_retrying: ({ parts }) => `다시 쓰고 있어요: ${parts.map((part) => ko[part]).join(", ")}…`,
  status_reconnecting: "연결이 끊겼어요. 다시 연결하고 있어요…",
  status_offline: "오프라인이에요. 연결되면 이어져요.",
  status_stopping: "멈추고 있어요…",
  status_ok: ({ parts }) => `완성했어요. ${NUMBERS.ko[parts] ?? parts} 부분이 모두 있어요.`,
  status_partial: ({ missing }) =>
    `끝났지만 다 쓰지는 못했어요: ${missing.map((part) => ko[part]).join(", ")}. 나머지는 모두 있어요.`,
  status_failed: ({ reason }) => reason || "레시피를 쓰지 못했어요. 다시 시도해 주세요.",
  status_stopped: "멈추었어요. 쓴 것은 그대로 있어요.",
  status_stopped_early: "아무것도 쓰기 전에 멈추었어요.",
  status_unknown: ({ written }) =>
    "서버에 이 레시피가 더는 없어요. 서버가 다시 시작되었을 수 있어요." + (written ? " 화면에 있는 것은 그대로 있어요." : ""),
  status_expired: ({ written }) =>
    "이 레시피는 보관 기간이 지났어요. 완성된 레시피는 잠시 동안만 보관해요." + (written ? " 화면에 있는 것은 그대로 있어요." : ""),
  status_unreachable: "서버에 연결할 수 없어요. 서버가 켜져 있는지 확인하고 다시 시도해 주세요.",
  status_full: ({ wait_s }) => `지금은 서버가 더 받을 수 없어요. ${wait_s ? `${wait_s}초 뒤에` : "잠시 뒤에"} 다시 시도해 주세요.`,
  status_refused: ({ code, detail }) => detail || `서버가 오류(${code})로 답했어요. 잠시 뒤 다시 시도해 주세요.`,
  status_invalid: "적은 내용을 확인해 주세요.",
};

export const LANGUAGES = { en, ko };
let messages = en;

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

// Sets `lang`, because the texts also appear inside a recipe in another language.
function render(element) {
  const message = messages[element.dataset.word];
  const text = typeof message === "function" ? message(JSON.parse(element.dataset.values)) : message;
  element.lang = document.documentElement.lang;
  if (element.textContent !== text) element.textContent = text; // otherwise a screen reader would repeat it
}
