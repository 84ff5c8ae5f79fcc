/** Copies only the recipe from the page: its title, texts and step numbers. */

const EXCLUDED = ".state, .hint, .trouble, button, .offers, .timeline, #status, h3:has(~ .body:empty), [hidden]";
const ATTRIBUTES = ["value", "data-number"];

document.addEventListener("copy", (event) => {
  const selection = getSelection();
  const sheet = document.getElementById("sheet");
  if (document.activeElement?.matches("textarea, input") || selection.isCollapsed) return;
  const range = selection.getRangeAt(0);
  if (!range.intersectsNode(sheet) || range.commonAncestorContainer.nodeType === Node.TEXT_NODE) return;
  const copy = recipeIn(range, sheet);
  event.clipboardData.setData("text/plain", plainText(copy));
  event.clipboardData.setData("text/html", copy.innerHTML);
  event.preventDefault();
});

function recipeIn(range, sheet) {
  const within = range.cloneRange();
  if (!sheet.contains(within.startContainer)) within.setStartBefore(sheet);
  if (!sheet.contains(within.endContainer)) within.setEndAfter(sheet);
  const copy = document.createElement("div");
  copy.append(within.cloneContents());
  for (const element of copy.querySelectorAll(EXCLUDED)) element.remove();
  for (const element of copy.querySelectorAll("*")) {
    for (const name of element.getAttributeNames()) if (!ATTRIBUTES.includes(name)) element.removeAttribute(name);
  }
  return copy;
}

function plainText(copy) {
  const lines = [""];
  const add = (text) => lines.push(lines.pop() + text);
  const visit = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return add(node.data.trim() && node.data.replace(/\s+/g, " "));
    const { localName } = node;
    if (/^h[234]$/.test(localName)) lines.push("");
    if (/^(?:h[234]|p|li|tr|br)$/.test(localName)) lines.push(mark(node));
    if (/^t[hd]$/.test(localName) && node.previousElementSibling) add(" | ");
    node.childNodes.forEach(visit);
  };
  visit(copy);
  return lines.map((line) => line.trimEnd()).join("\n").replace(/\n{3,}/g, "\n\n").trim();
}

function mark(element) {
  if (element.localName !== "li") return "";
  const indent = element.parentElement.closest("li") ? "  " : "";
  return indent + (element.dataset.number ? `${element.dataset.number}. ` : "- ");
}
