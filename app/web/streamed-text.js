/**
 * Renders streamed Markdown as blocks: paragraphs, headings, nested lists, tables. The first characters of a line are
 * buffered until they decide its kind; the row of a table is buffered until it is complete. Everything else is shown as it
 * arrives.
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
const MAX_MARK_LENGTH = 100; // characters, including the indentation

export class StreamedText {
  #body;
  #line = null; // the current line, once its kind is decided
  #buffer = "";
  #levels = []; // the open lists with their indents, each in the last item of the previous one

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
    this.#buffer = "";
  }

  clear() {
    this.#body.replaceChildren();
    this.#line = null;
    this.#buffer = "";
    this.#levels = [];
  }

  #extend(text) {
    if (this.#line) return this.#line.append(text);
    this.#buffer += text;
    if (ROW.test(this.#buffer) || FENCE.test(this.#buffer)) return;
    if (this.#buffer.length > MAX_MARK_LENGTH || !UNDECIDED.test(this.#buffer)) this.#open();
  }

  /** Handles a line that ended before its kind was decided. */
  #settle() {
    const line = this.#buffer;
    if (EMPTY.test(line) || RULE.test(line) || FENCE.test(line)) return;
    if (ROW.test(line)) this.#row(line);
    else this.#open();
  }

  #open() {
    const line = this.#buffer;
    const bullet = BULLET.exec(line);
    const number = NUMBER.exec(line);
    const mark = bullet ?? number ?? HEADING.exec(line) ?? QUOTE.exec(line);
    const text = mark ? line.slice(mark[0].length) : line.trimStart();
    const indent = /^\s*/.exec(line)[0].length;
    this.#line = new Line(this.#block({ indent, number: number?.[2], bullet, heading: HEADING.test(line) }));
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

  /** Returns the list for an item with this indent. */
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

/** A line: final nodes, then nodes that may still change. */
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
    const [finished, open] = growing ? [nodes.slice(0, decided), nodes.slice(decided)] : [nodes, []];
    for (const node of finished) this.#add(node);
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

/** Turns the first row into table headers. */
function head(table) {
  const row = table.rows.length === 1 ? table.rows[0] : null;
  for (const cell of [...(row?.cells ?? [])]) {
    const made = document.createElement("th");
    made.scope = "col";
    made.append(...cell.childNodes);
    cell.replaceWith(made);
  }
}
