// All at a glance: is it well, how much does it do, what does bundling save.

import { actorState, bundleRows, link } from "./actor_parts.js";
import { h, put, table } from "./dom.js";
import { amount, count, duration, percent, plural, rate } from "./format.js";
import { lastVerdict, runTitle, verdictTable } from "./migration_parts.js";
import { axis, draw, spark } from "./plot.js";

const BUSIEST = 8;

export function overview({ model }) {
  const strip = h("div", { class: "strip" });
  const warnings = h("section", { "aria-labelledby": "warnings-title" });
  const rates = h("div", { class: "drawing", role: "img", "aria-label": "Messages handled a second, over the last minutes" });
  const times = h("div", { class: "drawing", role: "img", "aria-label": "Time of a message in mailbox and handler, over the last minutes" });
  const charts = h(
    "section",
    { class: "two" },
    h("figure", {}, h("figcaption", {}, h("h2", {}, "Messages a second"), h("p", {}, "handled by all actors")), rates),
    h("figure", {}, h("figcaption", {}, h("h2", {}, "Time of a message"), h("p", {}, "mean at one actor: in its mailbox, in its handler")), times),
  );
  const bundles = h("section");
  const busiest = h("section");
  const verdict = h("section");
  const element = h("div", { class: "overview" }, strip, warnings, charts, bundles, busiest, verdict);

  function update() {
    const { source, totals } = model.sections;
    for (const section of [strip, charts, bundles, busiest]) section.hidden = !totals;
    put(warnings, ...warned(model));
    if (totals) {
      put(strip, ...tiles(model));
      put(bundles, h("h2", {}, "Bundles"), bundleRows(model));
      put(busiest, h("h2", {}, "Busiest actors"), busiestRows(model));
      chart(rates, times, model.history);
    } else if (source.state) {
      put(warnings, h("div", { class: "missing" }, h("h2", {}, source.text), h("p", {}, source.hint)));
    }
    const run = lastVerdict(model.measured);
    put(
      verdict,
      h("h2", {}, "The last comparison"),
      run
        ? h("div", {}, h("p", { class: "quiet" }, runTitle(run), " · ", h("a", { href: "#/migration", "data-key": "migration" }, "side by side")), verdictTable(run))
        : h("p", { class: "quiet" }, "None has been made on this machine. ", h("code", {}, "spore compare"), " makes one, and can be watched here while it runs."),
    );
  }
  return { element, update };
}

function warned({ sections: { warnings, totals } }) {
  if (!totals) return [];
  if (!warnings.length) return [h("h2", { id: "warnings-title", class: "well" }, h("span", { "aria-hidden": "true" }, "✓ "), "Nothing to warn of")];
  return [
    h("h2", { id: "warnings-title", class: "unwell" }, plural(warnings.length, "warning", "warnings")),
    h(
      "ul",
      { class: "warnings" },
      warnings.map(({ kind, where, actor, text }) =>
        h("li", {}, h("strong", {}, kind), h("span", {}, actor ? link(actor) : where), h("span", {}, text)),
      ),
    ),
  ];
}

function tiles({ sections: { totals, letters, processes }, history }) {
  const over = (name) => spark(history.map((point) => point[name]));
  const tile = (title, value, unit, picture, state) =>
    h("div", { class: `tile ${state ?? ""}` }, h("h3", {}, title), h("p", {}, h("data", { value: value.exact ?? "" }, value.said), h("span", { class: "unit" }, unit)), picture);
  const said = (number, form) => ({ exact: number, said: form(number) });
  const waiting = processes.filter((each) => !each.answers).length;
  return [
    tile("Messages", said(totals.per_second, rate), " a second", over("per_second")),
    tile("Message time", said(totals.waiting_ns == null && totals.handling_ns == null ? null : (totals.waiting_ns ?? 0) + (totals.handling_ns ?? 0), duration), " mean", over("message_ns")),
    tile("Queued", said(totals.queued, count), "", over("queued")),
    tile("Lost", said(totals.lost, count), totals.failed ? ` and ${count(totals.failed)} failed` : "", over("lost"), totals.lost || totals.failed ? "bad" : ""),
    tile("Restarts", said(totals.restarts, count), "", over("restarts"), totals.restarts ? "bad" : ""),
    tile("Dead letters", said(totals.dead_letters, count), letters.length ? ` ${count(letters.length)} kept` : "", over("dead_letters"), totals.dead_letters ? "bad" : ""),
    tile("Handled", said(totals.handled, count), "", null),
    tile("Runs in", said(processes.length, count), processes.length === 1 ? " process" : ` processes${waiting ? `, ${waiting} silent` : ""}`, null, waiting ? "bad" : ""),
  ];
}

function busiestRows(model) {
  const rows = model.actors
    .all()
    .sort((one, other) => (other.busy ?? 0) - (one.busy ?? 0) || other.per_second - one.per_second)
    .slice(0, BUSIEST);
  return table(
    "The actors whose handlers take the most time",
    ["actor", "state", "busy", "messages a second", "waiting", "handling", "queued"],
    rows.map((row) => [
      link(row.name),
      actorState(row.state),
      h("span", { class: "busy" }, h("span", { class: "bar" }, h("span", { class: "fill", style: `inline-size:${Math.round((row.busy ?? 0) * 100)}%` })), percent(row.busy)),
      rate(row.per_second),
      duration(row.waiting_ns),
      duration(row.handling_ns),
      count(row.queued),
    ]),
    { numbers: [2, 3, 4, 5, 6] },
  );
}

function chart(rates, times, history) {
  const x = history.map((point) => new Date(point.at_ms));
  const line = (name, key, color, more = {}) => ({
    type: "scatter",
    mode: "lines",
    name,
    x,
    y: history.map((point) => point[key]),
    line: { color, width: 1.75 },
    ...more,
  });
  const y = (more) => axis({ rangemode: "tozero", nticks: 5, ...more });
  draw(rates, [line("a second", "per_second", "--bundled", { hovertemplate: "%{y:,.0f}<extra></extra>" })], {
    xaxis: axis({ type: "date", nticks: 5 }),
    yaxis: y({ tickformat: "~s" }),
  });
  const us = (name, key, color, dash) => ({
    ...line(name, key, color, { hovertemplate: `${name}: %{text}<extra></extra>` }),
    y: history.map((point) => (point[key] == null ? null : point[key] / 1e9)),
    text: history.map((point) => duration(point[key])),
    line: { color, width: 1.75, dash },
  });
  draw(times, [us("mailbox", "waiting_ns", "--waiting", "4px 2px"), us("handler", "handling_ns", "--bundled", "solid")], {
    xaxis: axis({ type: "date", nticks: 5 }),
    yaxis: y({ tickformat: "~s", ticksuffix: "s" }),
    annotations: labels(history),
  });
}

// The name of each line, at its end.
function labels(history) {
  const last = history[history.length - 1];
  if (!last) return [];
  return [["mailbox", "waiting_ns", "--waiting", 10], ["handler", "handling_ns", "--bundled-text", -10]]
    .filter(([, key]) => last[key] != null)
    .map(([text, key, color, shift]) => ({
      text,
      x: new Date(last.at_ms),
      y: last[key] / 1e9,
      xanchor: "right",
      showarrow: false,
      yshift: last.waiting_ns >= last.handling_ns ? shift : -shift,
      font: { color, size: 11 },
    }));
}
