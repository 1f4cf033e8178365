// What could not be delivered: the last of it.

import { link } from "./actor_parts.js";
import { h, put, table } from "./dom.js";
import { count } from "./format.js";

export function letters({ model }) {
  const element = h("div");
  function update() {
    const { letters: kept, totals } = model.sections;
    put(
      element,
      h("h2", {}, totals ? `${count(totals.dead_letters)} dead letters` : "Dead letters", h("small", {}, "messages that could not be delivered; the last ones of each process are kept, the newest first")),
      kept.length ? letterTable(kept) : h("p", { class: "quiet" }, totals ? "None is kept." : "Nothing runs that could have any."),
    );
  }
  return { element, update };
}

export function letterTable(kept) {
  const rows = kept.map((letter) => [
    `${count(letter.number)}.`,
    h("code", {}, letter.message),
    letter.sender || "–",
    link(letter.actor),
    letter.reason,
    h("span", {}, h("code", { class: "repr" }, letter.text), letter.error && h("small", { class: "unmet" }, letter.error)),
    h("small", {}, letter.process),
  ]);
  return table("Dead letters, the newest of each process first", ["", "message", "from", "to", "reason", "content", "process"], rows);
}
