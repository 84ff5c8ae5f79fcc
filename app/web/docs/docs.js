// Renders /openapi.json as a page, without resources from other sites.

const routes = document.querySelector("#routes");

/** Returns an element with children, each an element or text. */
function element(name, children = [], attributes = {}) {
  const made = document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.append(...children);
  return made;
}

/** Returns a link to the component of a schema, or its type as text. */
function kind(schema = {}) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return element("a", [name], { href: `docs#${name}` });
  }
  if (schema.anyOf) return element("span", schema.anyOf.flatMap((one, i) => (i ? [" or ", kind(one)] : [kind(one)])));
  if (schema.items) return element("span", ["list of ", kind(schema.items)]);
  return element("span", [schema.enum ? schema.enum.join(" | ") : schema.type ?? "anything"]);
}

function table(caption, heads, rows) {
  if (!rows.length) return "";
  const row = (cells, name) => element("tr", cells.map((cell) => element(name, [cell])));
  return element("table", [
    element("caption", [caption]),
    element("thead", [row(heads, "th")]),
    element("tbody", rows.map((cells) => row(cells, "td"))),
  ], { tabindex: "0" });
}

/** Returns the media types of a body, each with its schema. */
function bodies(content = {}) {
  const all = Object.entries(content).map(([type, { schema }]) => element("div", [`${type}: `, kind(schema)]));
  return element("div", all);
}

function operation(path, method, { summary, description, parameters = [], requestBody, responses }) {
  return element("section", [
    element("h2", [`${method.toUpperCase()} ${path}`]),
    element("p", [description ?? summary ?? ""]),
    table("Parameters", ["Name", "In", "Type", "Meaning"], parameters.map((one) =>
      [one.name, one.in, kind(one.schema), one.description ?? one.schema?.description ?? ""])),
    requestBody ? element("div", ["Body: ", bodies(requestBody.content)]) : "",
    table("Answers", ["Status", "Meaning", "Body", "Headers"], Object.entries(responses).map(([status, one]) =>
      [status, one.description, bodies(one.content), Object.keys(one.headers ?? {}).join(", ")])),
  ]);
}

function component([name, schema]) {
  const fields = Object.entries(schema.properties ?? {});
  return element("section", [
    element("h2", [name], { id: name }),
    element("p", [schema.description ?? ""]),
    schema.anyOf ? element("p", ["One of: ", kind(schema)]) : "",
    table("Fields", ["Name", "Type", "Needed", "Meaning"], fields.map(([field, one]) =>
      [field, kind(one), schema.required?.includes(field) ? "yes" : "no", one.description ?? ""])),
  ]);
}

async function show() {
  const answer = await fetch("openapi.json");
  const { paths, components } = await answer.json();
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) => operation(path, method, one)));
  routes.replaceChildren(...operations, ...Object.entries(components.schemas).map(component));
}

show().catch(() => routes.replaceChildren(element("p", ["The OpenAPI document could not be read. Reload the page."])));
