/** Shows a text as it arrives, and the times of its first and last word. */

export const seconds = (ms) => (ms === null ? "–" : `${(ms / 1000).toFixed(2)} s`);

export class StreamedAnswer {
  #root;
  #body;
  #startedAt = 0;
  #text = null;

  constructor(root) {
    this.#root = root;
    this.#body = root.querySelector(".answer");
    this.first = this.last = null; // milliseconds since the start
    this.pieces = 0;
  }

  get text() {
    return this.#body.textContent;
  }

  begin(at = performance.now()) {
    this.#startedAt = at;
    this.#text = document.createTextNode("");
    this.#body.replaceChildren(this.#text);
    this.#body.ariaBusy = "true";
    this.first = this.last = null;
    this.pieces = 0;
    this.#update();
  }

  write(text) {
    this.#text.appendData(text);
    this.last = performance.now() - this.#startedAt;
    if (text.trim()) this.first ??= this.last;
    this.pieces += 1;
    this.#update();
    this.#body.scrollTop = this.#body.scrollHeight;
  }

  end() {
    this.#body.ariaBusy = "false";
  }

  #update() {
    this.figure("first", seconds(this.first));
    this.figure("last", seconds(this.last));
    this.figure("pieces", this.pieces);
  }

  figure(name, value) {
    const place = this.#root.querySelector(`[data-figure=${name}]`);
    if (place) place.textContent = value;
  }
}
