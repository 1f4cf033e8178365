// One actor: what it is, what it does over time, what was lost, with whom it talks.

import { actorState, modeOf } from "./actor_parts.js";
import { edgeCells, EDGE_HEAD, EDGE_NUMBERS } from "./edge_parts.js";
import { h, put, table } from "./dom.js";
import { ago, count, duration, percent, rate } from "./format.js";
import { letterTable } from "./letters.js";
import { draw, moment, overTime } from "./plot.js";
import { waitsOf } from "./waits.js";

export function actor({ model, argument: name, remember }) {
  remember.open ??= new Set();
  model.watch(name);
  const head = h("header", { class: "run" });
  const strip = h("div", { class: "strip eight" });
  const rates = h("div", { class: "drawing", role: "img", "aria-label": "Messages handled a second since this page was opened" });
  const queue = h("div", { class: "drawing", role: "img", "aria-label": "Messages queued since this page was opened" });
  const charts = h(
    "section",
    { class: "two" },
    h("figure", {}, h("figcaption", {}, h("h2", {}, "Messages a second"), h("p", {}, "since this page was opened")), rates),
    h("figure", {}, h("figcaption", {}, h("h2", {}, "Queued"), h("p", {}, "in its mailbox, or on the way to it")), queue),
  );
  const held = h("section");
  const facts = h("section");
  const edges = h("section");
  const letters = h("section");
  const element = h("div", {}, h("p", { class: "back" }, h("a", { href: "#/actors" }, "← All actors")), head, strip, held, charts, facts, edges, letters);

  function update() {
    const row = model.actors.rows.get(name);
    for (const each of [strip, held, charts, facts, edges, letters]) each.hidden = !row;
    if (!row) {
      put(head, h("h2", {}, name), h("p", { class: "quiet" }, model.sections.source.state === "live" ? "There is no such actor in the system that runs." : "Nothing is known of it, as nothing answers."));
      return;
    }
    const it = model.actors.named(row);
    put(head, h("h2", {}, name, " ", actorState(it.state), " ", modeOf(it.mode)), h("p", { class: "quiet" }, [`bundle ${it.bundle}`, `process ${it.pid}`, it.dispatch && `${it.dispatch} dispatch`, it.overflow && `overflow: ${it.overflow}`].filter(Boolean).join(" · ")));
    const tiles = [
      ["Busy", percent(it.busy), "of the time"],
      ["Messages", rate(it.per_second), "a second"],
      ["Waiting", duration(it.waiting_ns), "mean"],
      ["Handling", duration(it.handling_ns), "mean"],
      ["Queued", count(it.queued), `of ${count(it.capacity)}${it.blocked ? `, ${count(it.blocked)} senders wait` : ""}`],
      ["Handled", count(it.handled), "", "handled"],
      ["Failed", count(it.failed), "", "failed"],
      ["Restarts", count(it.restarts), "", "restarts"],
    ];
    const bad = (title, value) => ["Failed", "Restarts"].includes(title) && value !== "0";
    put(
      strip,
      ...tiles.map(([title, value, note, fact]) =>
        h("div", { class: `tile ${bad(title, value) ? "bad" : ""}` }, h("h3", {}, title), h("p", {}, h("data", fact ? { value: it[fact], "data-fact": fact } : {}, value)), h("p", { class: "note" }, note)),
      ),
    );
    const waiting = waitsOf(model, it);
    put(held, ...waiting);
    held.hidden = !waiting.length;
    put(
      facts,
      ...losses(model, it),
      it.last_error ? h("p", { class: "error" }, h("strong", {}, "Last error "), h("span", { class: "quiet" }, it.last_error_ms ? ago(model.sections.at_ms - it.last_error_ms) : ""), h("code", {}, it.last_error)) : null,
    );
    const mine = model.edges.all().filter((edge) => edge.sender === name || edge.receiver === name);
    put(edges, h("h2", {}, "Edges"), mine.length ? table("What it sends and is sent", EDGE_HEAD, mine.map((edge) => edgeCells(edge, name, model.actors.rows)), { numbers: EDGE_NUMBERS }) : h("p", { class: "quiet" }, "Nobody is wired to it."));
    const kept = model.sections.letters.filter((letter) => letter.actor === name || letter.sender === name);
    put(letters, ...(kept.length ? [h("h2", {}, "Dead letters", h("small", {}, "the newest of each reason")), letterTable(kept, model, remember.open)] : []));
    const { history } = model.watched;
    const x = history.map((point) => moment(point.at_ms));
    const line = (key, color) => [{ type: "scatter", mode: "lines", x, y: history.map((point) => point[key]), line: { color, width: 1.75 }, hovertemplate: "%{y:,.0f}<extra></extra>" }];
    const axes = (key) => overTime(history, history.map((point) => point[key]), { whole: true });
    draw(rates, line("per_second", "--bundled"), axes("per_second"));
    draw(queue, line("queued", "--waiting"), axes("queued"));
  }
  return { element, update, title: name };
}

// What was lost here, and what may have been: an actor that was restarted has begun without its state.
function losses(model, it) {
  const before = it.before ?? { failed: 0, lost: {}, restarts: 0 };
  const counts = new Map();
  const add = (reason, number) => number && counts.set(reason, (counts.get(reason) ?? 0) + number);
  add("failed: its handler raised", it.failed + before.failed);
  for (const reasons of [it.reasons, before.lost]) for (const [reason, number] of Object.entries(reasons ?? {})) add(reason.replaceAll("_", " "), number);
  const restarts = it.restarts + before.restarts;
  const ofProcess = model.sections.processes.find((each) => each.name === it.process)?.restarts ?? 0;
  const told = [
    restarts && `It was restarted ${times(restarts)}, each time without its state.`,
    ofProcess && `Its process was restarted ${times(ofProcess)}: what was counted before is known as far as the process had told it.`,
    it.state !== "running" && `It is ${it.state}.`,
  ].filter(Boolean);
  return [
    counts.size ? table("What was not handled, by reason", ["not handled", "messages"], [...counts].map(([reason, number]) => [reason, count(number)]), { numbers: [1], className: "narrow" }) : null,
    told.length ? h("p", {}, told.join(" ")) : null,
    counts.size || told.length ? null : h("p", { class: "quiet" }, "Nothing was lost here."),
  ];
}

const times = (number) => (number === 1 ? "once" : `${count(number)} times`);
