/** What is copied from a recipe: its title, texts and step numbers, and nothing of the page around them. */

const AROUND = ".state, .hint, .trouble, button, .offers, .timeline, #status, h3:has(~ .body:empty), [hidden]";
const KEPT = ["value", "data-number"];

document.addEventListener("copy", (event) => {
  const selection = getSelection();
  const sheet = document.getElementById("recipe");
  if (document.activeElement?.matches("textarea, input") || selection.isCollapsed) return;
  const range = selection.getRangeAt(0);
  if (!range.intersectsNode(sheet) || range.commonAncestorContainer.nodeType === Node.TEXT_NODE) return;
  const copied = recipeIn(range, sheet);
  event.clipboardData.setData("text/plain", plainText(copied));
  event.clipboardData.setData("text/html", copied.innerHTML);
  event.preventDefault();
});

function recipeIn(range, sheet) {
  const within = range.cloneRange();
  if (!sheet.contains(within.startContainer)) within.setStartBefore(sheet);
  if (!sheet.contains(within.endContainer)) within.setEndAfter(sheet);
  const copied = document.createElement("div");
  copied.append(within.cloneContents());
  for (const element of copied.querySelectorAll(AROUND)) element.remove();
  for (const element of copied.querySelectorAll("*")) {
    for (const name of element.getAttributeNames()) if (!KEPT.includes(name)) element.removeAttribute(name);
  }
  return copied;
}

function plainText(copied) {
  const lines = [""];
  const add = (text) => lines.push(lines.pop() + text);
  const say = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return add(node.data.trim() && node.data.replace(/\s+/g, " "));
    const { localName } = node;
    if (/^h[234]$/.test(localName)) lines.push("");
    if (/^(?:h[234]|p|li|tr|br)$/.test(localName)) lines.push(mark(node));
    if (/^t[hd]$/.test(localName) && node.previousElementSibling) add(" | ");
    node.childNodes.forEach(say);
  };
  say(copied);
  return lines.map((line) => line.trimEnd()).join("\n").replace(/\n{3,}/g, "\n\n").trim();
}

function mark(element) {
  if (element.localName !== "li") return "";
  const indent = element.parentElement.closest("li") ? "  " : "";
  return indent + (element.dataset.number ? `${element.dataset.number}. ` : "- ");
}
