// All edges: the ways that messages take, by reference or encoded.

import { actorAddress } from "./actor_parts.js";
import { h, put } from "./dom.js";
import { routeOf } from "./edge_parts.js";
import { count, plural, rate, size } from "./format.js";
import { Grid, matching } from "./grid.js";

export function edges({ model, go, remember }) {
  const value = (name) => (row) => model.edges.value(row, name);
  const text = (name, said = (each) => each || "–") => (row) => said(model.edges.value(row, name));
  const number = (name, title, width, rank, said, meaning) => ({ name, title, width, rank, number: true, meaning, value: value(name), text: text(name, said) });
  const columns = [
    { name: "sender", title: "sender", width: 105, wide: 2, rank: 0, value: value("sender"), text: text("sender") },
    { name: "port", title: "port", width: 110, wide: 1.2, rank: 7, value: value("port"), text: text("port") },
    { name: "receiver", title: "receiver", width: 105, wide: 2, rank: 1, value: value("receiver"), text: text("receiver") },
    { name: "route", title: "route", width: 100, rank: 2, value: value("route"), mark: value("route"), node: (row) => routeOf(model.edges.named(row)) },
    number("messages", "messages", 104, 4, count, "sent by this incarnation of the sender's process"),
    number("per_second", "a second", 88, 3, rate, "messages a second"),
    number("outstanding", "under way", 92, 8, count, "sent and not acknowledged"),
    number("bytes_encoded", "encoded", 92, 5, size, "what was encoded for this way"),
    number("bytes_saved", "saved", 92, 6, size, "what encoding would have taken, estimated from the messages' size on the wire"),
  ];
  const filter = h("input", { type: "search", id: "filter", placeholder: "such as: relay signal", "aria-label": "Filter edges by words", value: remember.filter ?? "", autocomplete: "off", oninput: () => ((remember.filter = filter.value), update()) });
  const found = h("output", { class: "quiet", for: "filter" });
  const sums = h("p", { class: "sums" });
  remember.sort ??= { name: "messages", down: true };
  const grid = new Grid({ label: "Edges", columns, key: (row) => row[0], sort: remember.sort, open: (row) => go(actorAddress(value("receiver")(row))), empty: "No edge is like that." });
  grid.sort = remember.sort;
  const element = h("div", { class: "full" }, h("div", { class: "tools" }, filter, found), sums, grid.element);

  function update() {
    const all = [...model.edges.rows.values()];
    const rows = matching(all, filter.value, (row) => ["sender", "port", "receiver", "route", "reason"].map((name) => value(name)(row)).join(" "));
    found.value = rows.length === all.length ? plural(all.length, "edge", "edges") : `${count(rows.length)} of ${plural(all.length, "edge", "edges")}`;
    const sum = (name) => all.reduce((total, row) => total + (value(name)(row) ?? 0), 0);
    put(sums, h("strong", {}, size(sum("bytes_encoded"))), " encoded, ", h("strong", {}, size(sum("bytes_saved"))), " not encoded because messages were passed by reference");
    grid.show(rows);
  }
  return { element, update, filter };
}
