/** Delays as dots on a logarithmic axis from 1 to 2,000 ms; larger values are shown at its end. */

const SVG = "http://www.w3.org/2000/svg";
const DECADES = [1, 10, 100, 1000];
const LONGEST = 2000;
const LANES = 7;

const along = (ms) => 3 + (94 * Math.log10(Math.min(Math.max(ms, 1), LONGEST))) / Math.log10(LONGEST);

export class DotPlot {
  #svg;
  #dots;

  constructor(svg) {
    this.#svg = svg;
    for (const ms of DECADES) this.#tick(ms);
    this.#dots = draw(svg, "g", { class: "dots" });
    this.clear();
  }

  clear() {
    this.#dots.replaceChildren();
    this.#svg.querySelector(".median")?.remove();
    this.#svg.setAttribute("aria-label", "Delay of each piece: none yet");
  }

  add(ms) {
    const lane = (this.#dots.childElementCount * 3) % LANES; // so that equal delays do not hide one another
    draw(this.#dots, "circle", { cx: `${along(ms)}%`, cy: 6 + lane * 5, r: 2.4 });
  }

  mark(median, summary) {
    draw(this.#svg, "line", { class: "median", x1: `${along(median)}%`, x2: `${along(median)}%`, y1: 1, y2: 41 });
    this.#svg.setAttribute("aria-label", `Delay of each of ${summary}`);
  }

  #tick(ms) {
    draw(this.#svg, "line", { class: "tick", x1: `${along(ms)}%`, x2: `${along(ms)}%`, y1: 0, y2: 44 });
    const label = draw(this.#svg, "text", { x: `${along(ms)}%`, y: 57 });
    label.textContent = ms === 1000 ? "1 s" : `${ms} ms`;
  }
}

function draw(parent, name, attributes) {
  const shape = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
  return parent.appendChild(shape);
}
