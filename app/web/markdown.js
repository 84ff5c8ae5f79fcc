/**
 * Converts inline Markdown to nodes: emphasis, code, links (only their text), line breaks. Nothing is parsed as HTML;
 * everything else is text. A growing line is shown as it will look once its open marks are closed.
 *
 * Not a library, because streaming ones set innerHTML, which the page's policy and tests forbid.
 */

const SPECIAL = /[\\`*_~[!<]/;
const WINDOW = 1000; // characters within which a mark has to be closed; otherwise it is plain text

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
 * `whole` matches a complete construct, `open` one that further text may complete; the text is in the last group. `lenient`
 * marks count even if they are never closed; `outside` ones do not begin within a word.
 */
const CONSTRUCTS = [
  { whole: /^\\([!-/:-@[-`{-~])/, open: /^\\($)/, nodes: itself },
  { whole: /^(`+)(?!`)(.{1,600}?)(?<!`)\1(?!`)/, open: /^`+(.*)$/, nodes: code },
  { whole: /^\*\*\*(?=[^\s*])(.{1,600}?)\*\*\*(?!\*)/, open: /^\*\*\*(?=[^\s*]|$)(.*)$/, nodes: spans("strong", "em"), lenient: true },
  { whole: /^\*\*(?=[^\s*])(.{1,600}?)\*\*(?!\*)/, open: /^\*\*(?=[^\s*]|$|\*$)(.*)$/, nodes: spans("strong"), lenient: true },
  { whole: /^__(?=[^\s_])(.{1,600}?)__(?![\p{L}\p{N}])/u, open: /^__(?=[^\s_]|$)(.*)$/, nodes: spans("strong"), outside: true, lenient: true },
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
 * Returns the nodes of a piece of a line that follows the character `before`. If the piece is `growing`, only the first
 * `decided` nodes are final; they cover the text up to `used`.
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
    const isLast = growing && match?.[0].length === rest.length; // the next character may change it
    if (construct && !isOpen && !isLast) {
      add(...construct.nodes(match.at(-1)));
      at += match[0].length;
    } else if (construct && (growing || construct.lenient)) {
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

/** Returns the text without marks. */
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

/** Returns the length of two or more asterisks next to a word that close nothing. */
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
