/**
 * Text that arrives in pieces, as paragraphs and list items. A line's kind shows in its first characters, so those are
 * held until they decide; everything after goes straight to a text node. Whatever is held is written by `close`.
 */

const MARK = /^\s*(?:[-*•]|(\d{1,3})[.)])\s+/;
const UNDECIDED = /^\s*(?:[-*•]|\d{1,3}[.)]?)?\s*$/;

export class Lines {
  #body;
  #held = "";
  #text = null;

  constructor(body) {
    this.#body = body;
  }

  append(text) {
    const [first, ...rest] = text.split("\n");
    this.#extend(first);
    for (const line of rest) {
      this.close();
      this.#extend(line);
    }
  }

  close() {
    if (!this.#text && this.#held.trim()) this.#open();
    this.#text = null;
    this.#held = "";
  }

  clear() {
    this.#body.replaceChildren();
    this.#text = null;
    this.#held = "";
  }

  #extend(text) {
    if (this.#text) return this.#text.appendData(text);
    this.#held += text;
    if (!UNDECIDED.test(this.#held)) this.#open();
  }

  #open() {
    const mark = MARK.exec(this.#held);
    const block = mark ? this.#item(mark[1]) : this.#add(this.#body, "p");
    this.#text = document.createTextNode(mark ? this.#held.slice(mark[0].length) : this.#held);
    block.append(this.#text);
  }

  #item(number) {
    const tag = number ? "ol" : "ul";
    const last = this.#body.lastElementChild;
    const item = this.#add(last?.localName === tag ? last : this.#list(tag), "li");
    if (number) item.value = item.dataset.number = number;
    return item;
  }

  #list(tag) {
    const list = this.#add(this.#body, tag);
    list.setAttribute("role", "list"); // Safari drops the role where list-style is none
    return list;
  }

  #add(parent, tag) {
    return parent.appendChild(document.createElement(tag));
  }
}
