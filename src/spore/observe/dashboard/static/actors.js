// All actors, in a table that ten thousand do not slow down.

import { actorAddress, actorState, modeOf } from "./actor_parts.js";
import { h } from "./dom.js";
import { count, duration, percent, plural, rate } from "./format.js";
import { Grid, matching } from "./grid.js";

const EXAMPLES = "such as: relay failed · suspended · signal";

export function actors({ model, go, remember }) {
  const value = (name) => (row) => model.actors.value(row, name);
  const text = (name, said = String) => (row) => said(model.actors.value(row, name));
  const number = (name, title, width, rank, said, meaning) => ({ name, title, width, rank, number: true, meaning, value: value(name), text: text(name, said) });
  // The state has a column of its own, where there is room for it.
  const named = (row) => h("span", { class: value("state")(row) === "running" ? null : `state ${value("state")(row)}`, title: value("name")(row) }, value("name")(row));
  const columns = [
    { name: "name", title: "actor", width: 126, wide: 2.4, rank: 0, value: value("name"), mark: (row) => `${value("name")(row)} ${value("state")(row)}`, node: named },
    { name: "bundle", title: "bundle", width: 130, wide: 1.4, rank: 8, value: value("bundle"), text: text("bundle") },
    { name: "mode", title: "mode", width: 88, rank: 9, value: value("mode"), mark: value("mode"), node: (row) => modeOf(value("mode")(row)) },
    { name: "state", title: "state", width: 118, rank: 4, value: value("state"), mark: value("state"), node: (row) => actorState(value("state")(row)) },
    number("busy", "busy", 66, 1, percent, "the share of the time in its handler, estimated from samples"),
    number("per_second", "a second", 76, 2, rate, "messages handled a second"),
    number("waiting_ns", "waiting", 84, 5, duration, "mean time in the mailbox since the last look"),
    number("handling_ns", "handling", 84, 6, duration, "mean time in the handler since the last look"),
    number("queued", "queued", 66, 3, count, "messages in the mailbox, or on their way to it"),
    number("capacity", "capacity", 84, 12, count, "how many messages the mailbox holds"),
    number("handled", "handled", 104, 7, count, "messages handled by this incarnation of its process"),
    number("failed", "failed", 70, 10, count, "messages at which the handler failed"),
    number("lost", "lost", 70, 9, count, "messages that were not handled; the page of the actor says why"),
    number("restarts", "restarts", 80, 11, count, "how often it was started again"),
  ];
  const filter = h("input", { type: "search", id: "filter", placeholder: EXAMPLES, "aria-label": "Filter actors by words", value: remember.filter ?? "", autocomplete: "off", oninput: () => ((remember.filter = filter.value), update()) });
  const found = h("output", { class: "quiet", for: "filter" });
  remember.sort ??= { name: "busy", down: true };
  const grid = new Grid({ label: "Actors", columns, key: (row) => row[0], sort: remember.sort, open: (row) => go(actorAddress(row[0])), empty: "No actor is like that." });
  grid.sort = remember.sort;
  const element = h("div", { class: "full" }, h("div", { class: "tools" }, filter, found), grid.element);

  const words = (row) => {
    const { columns: at } = model.actors;
    const bad = `${row[at.failed] ? "failed " : ""}${row[at.lost] ? "lost " : ""}${row[at.restarts] ? "restarted" : ""}`;
    return `${row[at.name]} ${row[at.bundle]} ${row[at.mode]} ${row[at.mode] === "shared_memory" ? "bundled" : "relayed"} ${row[at.state]} ${bad} ${row[at.last_error] ?? ""}`;
  };
  function update() {
    const all = [...model.actors.rows.values()];
    const rows = matching(all, filter.value, words);
    found.value = rows.length === all.length ? plural(all.length, "actor", "actors") : `${count(rows.length)} of ${plural(all.length, "actor", "actors")}`;
    grid.show(rows);
  }
  return { element, update, filter };
}
