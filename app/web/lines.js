/**
 * Text that arrives in pieces, as blocks: paragraphs, headings, lists within lists, tables. A line's kind shows in its
 * first characters, so those are held until they decide; the row of a table is held until it is whole. What a line says
 * goes to the page as it comes, with its inline Markdown as nodes.
 */

import { inline } from "./markdown.js";

const BULLET = /^(\s*)[-*+•]\s+(?:\[[ xX]\]\s+)?/;
const NUMBER = /^(\s*)(\d{1,3})[.)]\s+/;
const HEADING = /^\s*#{1,6}\s+/;
const QUOTE = /^\s*>\s?/;
const ROW = /^\s*\|/;
const RULE = /^\s*(?:([-*_=])\s*){3,}$/;
const FENCE = /^\s*(?:```|~~~)/;
const DELIMITERS = /^[\s|:-]+$/;
const UNDECIDED = /^\s*(?:[-+•](?:\s+(?:\[[ xX]?\]?)?)?|[*_=-][-*_=\s]*|#{1,6}|\d{1,3}[.)]?|>|`{1,3}|~{1,3})?\s*$/;

const EMPTY = /^\s*(?:[-*+•]\s+|#+\s*)?$/;
const LONGEST_MARK = 100; // characters, with what the line is indented by

export class Lines {
  #body;
  #line = null; // what the current line has become, once that is decided
  #held = "";
  #levels = []; // the lists that are open, each in the last item of the one before, with their indents

  constructor(body) {
    this.#body = body;
  }

  append(text) {
    const [first, ...rest] = text.replaceAll("\r", "").split("\n");
    this.#extend(first);
    for (const line of rest) {
      this.close();
      this.#extend(line);
    }
  }

  close() {
    if (!this.#line) this.#settle();
    this.#line?.close();
    this.#line = null;
    this.#held = "";
  }

  clear() {
    this.#body.replaceChildren();
    this.#line = null;
    this.#held = "";
    this.#levels = [];
  }

  #extend(text) {
    if (this.#line) return this.#line.append(text);
    this.#held += text;
    if (ROW.test(this.#held) || FENCE.test(this.#held)) return;
    if (this.#held.length > LONGEST_MARK || !UNDECIDED.test(this.#held)) this.#open();
  }

  /** A line that ended before it was decided what it is. */
  #settle() {
    const held = this.#held;
    if (EMPTY.test(held) || RULE.test(held) || FENCE.test(held)) return;
    if (ROW.test(held)) this.#row(held);
    else this.#open();
  }

  #open() {
    const held = this.#held;
    const bullet = BULLET.exec(held);
    const number = NUMBER.exec(held);
    const mark = bullet ?? number ?? HEADING.exec(held) ?? QUOTE.exec(held);
    const text = mark ? held.slice(mark[0].length) : held.trimStart();
    const indent = /^\s*/.exec(held)[0].length;
    this.#line = new Line(this.#block({ indent, number: number?.[2], bullet, heading: HEADING.test(held) }));
    this.#line.append(text);
  }

  #block({ indent, number, bullet, heading }) {
    if (bullet || number) return this.#item(number ? "ol" : "ul", indent, number);
    if (heading) return this.#add(this.#body, "h4");
    const item = indent > 1 && this.#levels.at(-1)?.list.lastElementChild;
    if (item && this.#body.lastElementChild?.contains(item)) return this.#add(item, "p");
    return this.#add(this.#body, "p");
  }

  #item(tag, indent, number) {
    const item = this.#add(this.#list(tag, indent), "li");
    if (number) item.value = item.dataset.number = number;
    return this.#add(item, "div");
  }

  /** The open list that an item of this indent belongs to. */
  #list(tag, indent) {
    if (this.#body.lastElementChild !== this.#levels[0]?.list) this.#levels = [];
    while (this.#levels.length > 1 && indent < this.#levels.at(-1).indent) this.#levels.pop();
    const last = this.#levels.at(-1);
    const isNested = last && indent > last.indent + 1;
    if (last && !isNested && last.list.localName === tag) return last.list;
    if (!isNested) this.#levels.pop();
    const parent = this.#levels.at(-1)?.list.lastElementChild ?? this.#body;
    const list = this.#add(parent, tag);
    list.setAttribute("role", "list"); // Safari drops the role where list-style is none
    this.#levels.push({ list, indent });
    return list;
  }

  #row(line) {
    const last = this.#body.lastElementChild;
    const table = last?.localName === "table" ? last : this.#add(this.#body, "table");
    if (DELIMITERS.test(line)) return head(table);
    const cells = line.trim().replace(/^\||(?<!\\)\|$/g, "").split(/(?<!\\)\|/);
    const row = this.#add(table, "tr");
    for (const cell of cells) this.#add(row, "td").append(...inline(cell.trim()).nodes);
  }

  #add(parent, tag) {
    return parent.appendChild(document.createElement(tag));
  }
}

/** One line: its nodes that are decided, then those that may still change. */
class Line {
  #block;
  #pending = "";
  #before = "";
  #open = [];

  constructor(block) {
    this.#block = block;
  }

  append(text) {
    this.#pending += text;
    this.#write(true);
  }

  close() {
    this.#write(false);
  }

  #write(growing) {
    for (const node of this.#open) node.remove();
    const { nodes, decided, used } = inline(this.#pending, growing, this.#before);
    const [made, open] = growing ? [nodes.slice(0, decided), nodes.slice(decided)] : [nodes, []];
    for (const node of made) this.#add(node);
    this.#open = open.map((node) => (typeof node === "string" ? document.createTextNode(node) : node));
    this.#block.append(...this.#open);
    this.#before = this.#pending[used - 1] ?? this.#before;
    this.#pending = growing ? this.#pending.slice(used) : "";
  }

  #add(node) {
    const last = this.#block.lastChild;
    if (typeof node === "string" && last?.nodeType === Node.TEXT_NODE) last.appendData(node);
    else this.#block.append(node);
  }
}

/** Makes the table's first row its head. */
function head(table) {
  const row = table.rows.length === 1 ? table.rows[0] : null;
  for (const cell of [...(row?.cells ?? [])]) {
    const made = document.createElement("th");
    made.scope = "col";
    made.append(...cell.childNodes);
    cell.replaceWith(made);
  }
}
