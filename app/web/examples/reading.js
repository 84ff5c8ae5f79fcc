/** A text on the page while it comes, and when its first word and its last were there. */

export const seconds = (ms) => (ms === null ? "–" : `${(ms / 1000).toFixed(2)} s`);

export class Reading {
  #root;
  #body;
  #began = 0;
  #text = null;

  constructor(root) {
    this.#root = root;
    this.#body = root.querySelector(".answer");
    this.first = this.last = null; // milliseconds from the beginning
    this.pieces = 0;
  }

  get text() {
    return this.#body.textContent;
  }

  begin(at = performance.now()) {
    this.#began = at;
    this.#text = document.createTextNode("");
    this.#body.replaceChildren(this.#text);
    this.#body.ariaBusy = "true";
    this.first = this.last = null;
    this.pieces = 0;
    this.#tell();
  }

  write(text) {
    this.#text.appendData(text);
    this.last = performance.now() - this.#began;
    if (text.trim()) this.first ??= this.last;
    this.pieces += 1;
    this.#tell();
    this.#body.scrollTop = this.#body.scrollHeight;
  }

  end() {
    this.#body.ariaBusy = "false";
  }

  #tell() {
    this.figure("first", seconds(this.first));
    this.figure("last", seconds(this.last));
    this.figure("pieces", this.pieces);
  }

  figure(name, value) {
    const place = this.#root.querySelector(`[data-figure=${name}]`);
    if (place) place.textContent = value;
  }
}
