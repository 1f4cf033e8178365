// A table of any length: only the rows that can be seen are in the document. Sorted by a column, filtered by words, walked by keys.

import { h } from "./dom.js";

const ROW_PX = 30;
const PADDING_PX = 24; // of a row
const MORE = 6; // rows above and below those that can be seen

export class Grid {
  // columns: [{ name, title, width, value(row), text(row) or node(row), number, rank }]; where there is no room for all, those of the
  // highest rank are left out.
  constructor({ label, columns, key, sort, open, empty }) {
    Object.assign(this, { columns, key, open, empty });
    this.sort = { name: null, down: true, ...sort };
    this.rows = [];
    this.shown = [];
    this.active = null;
    this.first = -1;
    this.pool = [];
    this.head = h("div", { class: "grid-head", role: "row", "aria-rowindex": 1 });
    this.body = h("div", { class: "grid-body", role: "rowgroup" });
    this.none = h("p", { class: "none" });
    this.element = h(
      "div",
      {
        class: "grid",
        role: "grid",
        tabindex: 0,
        "aria-label": label,
        onscroll: () => this.paint(),
        onkeydown: (event) => this.press(event),
      },
      this.head,
      this.body,
      this.none,
    );
    this.size = new ResizeObserver(() => this.lay());
    this.size.observe(this.element);
  }

  show(rows) {
    this.rows = rows;
    this.arrange();
  }

  arrange() {
    const column = this.columns.find((each) => each.name === this.sort.name);
    this.shown = column ? sorted(this.rows, column.value, this.sort.down) : this.rows;
    this.body.style.height = `${this.shown.length * ROW_PX}px`;
    this.none.textContent = this.shown.length ? "" : this.empty;
    this.element.setAttribute("aria-rowcount", this.shown.length + 1);
    this.paint();
  }

  // Which columns there is room for, and the head.
  lay() {
    const width = this.element.clientWidth - PADDING_PX;
    if (width <= 0) return;
    let used = 0;
    const fitting = new Set();
    for (const column of [...this.columns].sort((one, other) => one.rank - other.rank)) {
      if (used + column.width > width && fitting.size > 1) break;
      used += column.width;
      fitting.add(column);
    }
    const visible = this.columns.filter((column) => fitting.has(column));
    if (this.visible && visible.length === this.visible.length && visible.every((each, at) => each === this.visible[at])) {
      this.paint();
      return;
    }
    this.visible = visible;
    this.element.style.setProperty(
      "--columns",
      visible.map(({ width, wide }) => `minmax(${width}px, ${wide ?? (width / 100).toFixed(2)}fr)`).join(" "),
    );
    this.element.setAttribute("aria-colcount", visible.length);
    this.pool = [];
    this.body.replaceChildren();
    this.title();
    this.paint();
  }

  title() {
    this.head.replaceChildren(
      ...this.visible.map((column) => {
        const by = column.name === this.sort.name;
        const arrow = by ? (this.sort.down ? "▾" : "▴") : "";
        return h(
          "div",
          {
            role: "columnheader",
            class: column.number ? "number" : null,
            "aria-sort": column.value ? (by ? (this.sort.down ? "descending" : "ascending") : "none") : null,
          },
          column.value
            ? h("button", { type: "button", title: column.meaning, onclick: () => this.sortBy(column) }, column.title, h("span", { "aria-hidden": "true" }, arrow))
            : h("span", { title: column.meaning }, column.title),
        );
      }),
    );
  }

  sortBy(column) {
    const down = column.name === this.sort.name ? !this.sort.down : Boolean(column.number);
    Object.assign(this.sort, { name: column.name, down });
    this.title();
    this.head.querySelector('[aria-sort$="ending"] button')?.focus();
    this.arrange();
  }

  paint() {
    if (!this.visible) return;
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - MORE);
    const last = Math.min(this.shown.length, Math.ceil((scrollTop + clientHeight) / ROW_PX) + MORE);
    while (this.pool.length < last - first) {
      const row = h("div", { class: "grid-row", role: "row", onclick: () => this.choose(this.shown[row.at], true) });
      row.append(...this.visible.map((column) => h("div", { role: "gridcell", class: column.number ? "number" : null })));
      this.pool.push(row);
      this.body.append(row);
    }
    this.pool.forEach((row, number) => {
      const at = first + number;
      row.hidden = at >= last;
      if (!row.hidden) this.fill(row, at);
    });
    const active = this.pool.find((row) => !row.hidden && this.key(this.shown[row.at]) === this.active);
    if (active) this.element.setAttribute("aria-activedescendant", active.id);
    else this.element.removeAttribute("aria-activedescendant");
  }

  fill(row, at) {
    const item = this.shown[at];
    row.at = at;
    row.id = `row-${at}`;
    row.style.transform = `translateY(${at * ROW_PX}px)`;
    row.setAttribute("aria-rowindex", at + 2);
    row.classList.toggle("active", this.key(item) === this.active);
    this.visible.forEach((column, index) => {
      const cell = row.children[index];
      if (column.node) {
        const mark = column.mark(item);
        if (cell.mark !== mark) {
          cell.mark = mark;
          cell.replaceChildren(column.node(item));
        }
      } else {
        const text = column.text(item);
        if (cell.textContent !== text) cell.textContent = text;
        cell.title = column.wide ? text : "";
      }
    });
  }

  choose(item, opens) {
    this.active = this.key(item);
    this.paint();
    if (opens) this.open?.(item);
  }

  press(event) {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.shown.findIndex((item) => this.key(item) === this.active);
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW_PX) - 2);
    const to = { ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: Infinity }[event.key];
    if (to !== undefined && this.shown.length) {
      event.preventDefault();
      const next = Math.min(this.shown.length - 1, Math.max(0, to));
      const top = next * ROW_PX;
      const { scrollTop, clientHeight } = this.element;
      if (top < scrollTop) this.element.scrollTop = top;
      else if (top + 2 * ROW_PX > scrollTop + clientHeight) this.element.scrollTop = top + 2 * ROW_PX - clientHeight;
      this.choose(this.shown[next], false);
    } else if (event.key === "Enter" && at >= 0) {
      event.preventDefault();
      this.open?.(this.shown[at]);
    }
  }
}

// Stable, and what is unknown comes last either way.
function sorted(rows, value, down) {
  const sign = down ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [mine, its] = [value(one), value(other)];
    if (mine == null || its == null) return (mine == null) - (its == null);
    return mine < its ? -sign : mine > its ? sign : 0;
  });
}

// Rows of which every word is found in the text.
export function matching(rows, words, text) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return wanted.length ? rows.filter((row) => wanted.every((word) => text(row).toLowerCase().includes(word))) : rows;
}
