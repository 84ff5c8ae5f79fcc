/** One field of a request, as its JSON Schema describes it. */

import { addTexts, setText } from "./i18n.js";

const LONGEST_LINE = 200; // characters; a longer text gets a textarea
const INPUT_TYPES = { date: "date", time: "time", email: "email", uri: "url", integer: "number", number: "number" };
const LISTS = { en: "One on each line", ko: "한 줄에 하나씩" };
const OBJECTS = { en: "as JSON", ko: "JSON으로" };
const template = document.getElementById("field");

export class Field {
  #schema;
  #items;

  /** `definitions` are those of the whole schema. */
  constructor(name, schema, definitions, isRequired) {
    this.name = name;
    this.isRequired = isRequired;
    this.#schema = resolve(schema, definitions);
    this.#items = resolve(this.#schema.items ?? {}, definitions);
    this.element = template.content.cloneNode(true).firstElementChild;
    /** @type {any} an input, a textarea or a select */
    this.input = this.#makeInput();
    this.#label();
    this.clear();
  }

  /** The value of the field, or nothing for the default. */
  get value() {
    const { type } = this.#schema;
    if (type === "boolean") return this.input.checked;
    const text = this.input.value.trim();
    if (text === "") return undefined;
    if (type === "array") return lines(text).map((line) => (this.#items.type === "object" ? parse(line) : line));
    if (this.#choices) return this.#choices.find((choice) => String(choice) === text);
    if (type === "object") return parse(text);
    return type === "integer" || type === "number" ? Number(text) : text;
  }

  set value(value) {
    const { type } = this.#schema;
    if (type === "boolean") this.input.checked = Boolean(value);
    else if (type === "array") this.input.value = (value ?? []).map(textOf).join("\n");
    else this.input.value = textOf(value ?? "");
  }

  get isMissing() {
    return this.isRequired && this.value === undefined;
  }

  clear() {
    this.value = this.#schema.default ?? (this.#choices && this.isRequired ? this.#choices[0] : null);
  }

  get #choices() {
    return this.#schema.enum ?? ("const" in this.#schema ? [this.#schema.const] : null);
  }

  #makeInput() {
    const { type, maxLength, format } = this.#schema;
    if (this.#choices) return this.#select();
    const isLong = type === "array" || type === "object" || (type === "string" && !format && !(maxLength <= LONGEST_LINE));
    return isLong ? Object.assign(document.createElement("textarea"), { rows: 4 }) : this.#line();
  }

  #line() {
    const { type, format, minimum, maximum } = this.#schema;
    const input = document.createElement("input");
    input.type = type === "boolean" ? "checkbox" : (INPUT_TYPES[format ?? type] ?? "text");
    if (type === "number") input.step = "any";
    if (minimum !== undefined) input.min = minimum;
    if (maximum !== undefined) input.max = maximum;
    return input;
  }

  #select() {
    const select = document.createElement("select");
    const choices = this.isRequired || this.#schema.default != null ? this.#choices : ["", ...this.#choices];
    select.append(...choices.map((choice) => new Option(choice, choice)));
    return select;
  }

  #label() {
    const { name, input } = this;
    const [label, error, help] = this.element.children;
    input.name = name;
    input.id = `field-${name}`;
    input.required = this.isRequired;
    input.autocomplete = "off";
    input.setAttribute("aria-describedby", `${name}-error ${name}-help reason`);
    label.htmlFor = input.id;
    label.after(input);
    error.id = `${name}-error`;
    help.id = `${name}-help`;
    this.element.classList.toggle("check", input.type === "checkbox");
    addTexts({ en: this.#texts("en"), ko: this.#texts("ko") });
    setText(label, `field_${name}`);
    setText(help, `help_${name}`);
  }

  // `x-ko` has the Korean title and description, if the composition gives them.
  #texts(language) {
    const { title, description } = { ...this.#schema, ...this.#schema[`x-${language}`] };
    return { [`field_${this.name}`]: title ?? this.name, [`help_${this.name}`]: description ?? this.#form(language) };
  }

  /** How a list or an object is entered. */
  #form(language) {
    const isList = this.#schema.type === "array";
    const object = isList ? this.#items : this.#schema;
    const names = Object.keys(object.properties ?? {}).map((name) => `"${name}": …`);
    const json = names.length ? `${OBJECTS[language]}: {${names.join(", ")}}` : OBJECTS[language];
    const text = [isList && LISTS[language], object.type === "object" && json].filter(Boolean).join(", ");
    return text && `${text[0].toUpperCase()}${text.slice(1)}.`;
  }
}

/** The schema without references; for an optional field the type other than null. */
function resolve(schema, definitions = {}) {
  const { $ref, anyOf, allOf, ...rest } = schema;
  const inner = $ref ? definitions[$ref.split("/").pop()] : (anyOf ?? allOf)?.find((option) => option.type !== "null");
  return inner ? { ...resolve(inner, definitions), ...rest } : schema;
}

function lines(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

function textOf(value) {
  return typeof value === "object" ? JSON.stringify(value) : value;
}

/** Text that is not JSON is sent as it is, and the server says what it expects. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
