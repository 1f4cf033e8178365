// Elements as calls. Text is text: nothing that comes from a system is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

export function h(name, attributes = {}, ...content) {
  return filled(document.createElement(name), attributes, content);
}

export function svg(name, attributes = {}, ...content) {
  return filled(document.createElementNS(SVG, name), attributes, content);
}

function filled(element, attributes, content) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "style") element.style.cssText = value; // as an attribute, the policy of the page would forbid it
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...content.flat().filter((each) => each != null && each !== false));
  return element;
}

// Put these in place of what is in an element, unless they say the same: what is selected or focused then stays.
export function put(element, ...content) {
  const next = h("div", {}, ...content.filter((each) => each != null && each !== false));
  if (next.innerHTML === element.innerHTML) return;
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...next.childNodes);
  if (focused) [...element.querySelectorAll("[data-key]")].find((each) => each.dataset.key === focused)?.focus();
}

// A table of which each row begins with its name. A cell is text, an element, or a list of both.
export function table(caption, head, rows, { numbers = [], className = "" } = {}) {
  const kind = (column) => (numbers.includes(column) ? "number" : null);
  return h(
    "div",
    { class: `scroll ${className}` },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, head.map((name, column) => h("th", { scope: "col", class: kind(column) }, name)))),
      h(
        "tbody",
        {},
        rows.map(([name, ...cells]) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, name),
            cells.map((cell, column) => h("td", { class: kind(column + 1) }, cell)),
          ),
        ),
      ),
    ),
  );
}
