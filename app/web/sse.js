/** Reads server-sent events from a fetch body (WHATWG HTML §9.2.6). `id` and `retry` are ignored. */

export class Decoder {
  #rest = "";
  #afterCr = false;
  #event = "";
  #data = [];

  *push(chunk) {
    if (!chunk) return;
    // A CR ends its line at once, so an LF at the start of the next chunk belongs to it.
    const text = this.#afterCr && chunk[0] === "\n" ? chunk.slice(1) : chunk;
    this.#afterCr = chunk.endsWith("\r");
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop();
    for (const line of lines) {
      if (line) this.#field(line);
      else yield* this.#dispatch();
    }
  }

  #field(line) {
    const [, name, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (name === "event") this.#event = value ?? "";
    if (name === "data") this.#data.push(value ?? "");
  }

  *#dispatch() {
    if (this.#data.length) yield { event: this.#event || "message", data: this.#data.join("\n") };
    this.#event = "";
    this.#data = [];
  }
}

/** An incomplete event at the end of the stream is dropped, as the standard requires. */
export async function* events(body) {
  const decoder = new Decoder();
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let read; !(read = await reader.read()).done; ) yield* decoder.push(read.value);
  } finally {
    reader.cancel().catch(() => {});
  }
}
