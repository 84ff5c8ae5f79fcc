/**
 * The inline Markdown that models write, as nodes: emphasis, code, links (only their text), line breaks. Nothing is
 * parsed as HTML; what is not Markdown is text. A line that is still growing is shown as it will look once its open
 * marks are closed.
 *
 * Not a library: those that stream set innerHTML, which this page's policy and its tests rule out.
 */

const SPECIAL = /[\\`*_~[!<]/;
const WINDOW = 1000; // characters in which a mark has to be closed; beyond, it is a character like others

const spans = (...names) => (text = "", growing = false) => {
  const nodes = inline(text, growing).nodes;
  return names.reduceRight((children, name) => [wrap(name, children)], nodes);
};
const code = (text) => [wrap("code", [text])];
const itself = (text) => (text ? [text] : []);
const link = (text) => inline(text).nodes;
const bracketed = (text, growing) => (text === undefined ? ["!"] : ["[", ...inline(text, growing).nodes]);
const lineBreak = () => [document.createElement("br")];
const nothing = () => [];

/**
 * `whole` matches what is complete, from its mark on, `open` what the text to come may complete; both have the text in
 * their last group. `kept` marks count even if nothing closes them; `outside` ones don't begin within a word.
 */
const CONSTRUCTS = [
  { whole: /^\\([!-/:-@[-`{-~])/, open: /^\\($)/, nodes: itself },
  { whole: /^(`+)(?!`)(.{1,600}?)(?<!`)\1(?!`)/, open: /^`+(.*)$/, nodes: code },
  { whole: /^\*\*\*(?=[^\s*])(.{1,600}?)\*\*\*(?!\*)/, open: /^\*\*\*(?=[^\s*]|$)(.*)$/, nodes: spans("strong", "em"), kept: true },
  { whole: /^\*\*(?=[^\s*])(.{1,600}?)\*\*(?!\*)/, open: /^\*\*(?=[^\s*]|$|\*$)(.*)$/, nodes: spans("strong"), kept: true },
  { whole: /^__(?=[^\s_])(.{1,600}?)__(?![\p{L}\p{N}])/u, open: /^__(?=[^\s_]|$)(.*)$/, nodes: spans("strong"), outside: true, kept: true },
  { whole: /^\*(?=[^\s*])((?:[^*]|\*\*[^*]{1,300}\*\*){1,600}?)(?<=\S)\*(?!\*)/, open: /^\*(?=[^\s*]|$)(.*)$/, nodes: spans("em") },
  { whole: /^_(?=[^\s_])([^_]{1,600}?)(?<=\S)_(?![\p{L}\p{N}])/u, open: /^_(?=[^\s_]|$)(.*)$/, nodes: spans("em"), outside: true },
  { whole: /^~~(?=[^\s~])(.{1,600}?)~~/, open: /^~(?:$|~(?=[^\s~]|$)(.*)$)/, nodes: spans("s") },
  {
    whole: /^!?\[([^[\]]{0,300})\]\((?:[^()\s]|\([^()\s]{0,300}\)){0,600}(?:\s+"[^"]{0,300}")?\)/,
    open: /^(?:!$|!?\[([^[\]]{0,300})(?:\](?:\((?:[^()\s]|\([^()\s]{0,300}(?:\)|$)){0,600}(?:\s+(?:"[^"]{0,300}"?)?)?)?)?$)/,
    nodes: link,
    half: bracketed,
  },
  { whole: /^<br ?\/?>()/i, open: /^<(?:b(?:r ?\/?)?)?($)/i, nodes: lineBreak, half: nothing },
];

/**
 * The nodes of a piece of a line, which stands after the character `before`. Of a piece that is `growing`, only the
 * first `decided` nodes stay as they are; they are the text up to `used`.
 */
export function inline(text, growing = false, before = "") {
  const nodes = [];
  let plain = "";
  let at = 0;
  const add = (...more) => {
    if (plain) nodes.push(plain);
    plain = "";
    nodes.push(...more);
  };
  while (at < text.length) {
    const next = text.slice(at).search(SPECIAL);
    plain += text.slice(at, next < 0 ? undefined : at + next);
    at = next < 0 ? text.length : at + next;
    if (at === text.length) break;
    const rest = text.slice(at);
    const within = /[\p{L}\p{N}]/u.test(at ? text[at - 1] : before);
    const { construct, match, isOpen } = find(rest, within);
    const isLast = growing && match?.[0].length === rest.length; // the next character may still say otherwise
    if (construct && !isOpen && !isLast) {
      add(...construct.nodes(match.at(-1)));
      at += match[0].length;
    } else if (construct && (growing || construct.kept)) {
      add();
      const look = (isOpen && construct.half) || construct.nodes;
      return { nodes: [...nodes, ...look(match.at(-1), growing && isOpen)], decided: nodes.length, used: at };
    } else if (growing && /^\*+$/.test(rest)) {
      add();
      return { nodes, decided: nodes.length, used: at };
    } else {
      const mark = stray(rest, at ? text[at - 1] : before);
      plain += mark ? "" : rest[0];
      at += mark || 1;
    }
  }
  add();
  return { nodes, decided: nodes.length, used: at };
}

/** A text without its marks. */
export function unmarked(text) {
  return wrap("span", inline(text).nodes).textContent;
}

function find(rest, within) {
  const usable = CONSTRUCTS.filter(({ outside }) => !(outside && within));
  const text = rest.slice(0, 2 * WINDOW);
  for (const construct of usable) {
    const match = construct.whole.exec(text);
    if (match) return { construct, match };
  }
  if (rest.length > WINDOW) return {};
  for (const construct of usable) {
    const match = construct.open.exec(rest);
    if (match) return { construct, match, isOpen: true };
  }
  return {};
}

/** The length of a mark of two or more asterisks that closes nothing, and stands at a word. */
function stray(rest, before) {
  const mark = /^\*{2,}/.exec(rest)?.[0].length ?? 0;
  const alone = /^\s?$/.test(before) && /^\s?$/.test(rest[mark] ?? "");
  return alone ? 0 : mark;
}

function wrap(name, children) {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}
