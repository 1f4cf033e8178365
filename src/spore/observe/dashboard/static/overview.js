// All at a glance: is it well, how much does it do, what does bundling save.

import { actorState, bundleRows, link } from "./actor_parts.js";
import { h, put, table } from "./dom.js";
import { count, duration, percent, plural, rate, size } from "./format.js";
import { lastVerdict, runTitle, summary, verdictTable } from "./migration_parts.js";
import { draw, moment, overTime, spark } from "./plot.js";
import { showWaits } from "./waits.js";

const BUSIEST = 8;
const MOST_PROCESSES = 12;
const CHART_MS = 2000; // from one drawing of the charts to the next: it is what costs a browser most
const GAP_MS = 5000;
const GROWING = 4; // looks

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
  const held = h("section");
  const bundles = h("section");
  const busiest = h("section");
  const processes = h("section");
  const verdict = h("section");
  const element = h("div", { class: "overview" }, strip, warnings, held, charts, bundles, busiest, processes, verdict);

  let drawn = 0;

  function update() {
    const { source, totals } = model.sections;
    for (const section of [strip, held, charts, bundles, busiest, processes]) section.hidden = !totals;
    const run = lastVerdict(model.measured);
    put(warnings, ...warned(model, run));
    if (totals) {
      put(strip, ...tiles(model));
      showWaits(held, model);
      put(bundles, h("h2", {}, "Bundles"), bundleRows(model));
      put(busiest, h("h2", {}, "Busiest actors"), busiestRows(model));
      const more = model.sections.processes.length - MOST_PROCESSES;
      put(processes, h("h2", {}, "Processes", more > 0 && h("small", {}, `and ${count(more)} more`)), processRows(model));
      const last = model.history[model.history.length - 1]?.at_ms ?? 0;
      if (Math.abs(last - drawn) >= CHART_MS) {
        drawn = last;
        chart(rates, times, broken(model.history));
      }
    } else if (source.state) {
      put(warnings, h("div", { class: "missing" }, h("h2", {}, source.text), h("p", {}, source.hint)));
    }
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

function warned({ sections: { warnings, totals }, history }, run) {
  if (!totals) return [];
  const last = run ? h("p", { class: "quiet" }, "Last comparison: ", h("a", { href: "#/migration", "data-key": "last" }, summary(run))) : null;
  const unsaid = warnings.length ? [] : uneasy(totals, history);
  if (!warnings.length && !unsaid.length) return [h("div", { class: "well-line" }, h("h2", { id: "warnings-title", class: "well" }, "✓ Nothing to warn of"), last)];
  if (!warnings.length) return [last, h("h2", { id: "warnings-title", class: "unwell" }, `To be looked at: ${unsaid.join(", ")}`)];
  return [
    last,
    h("h2", { id: "warnings-title", class: "unwell" }, plural(warnings.length, "warning", "warnings")),
    h(
      "ul",
      { class: "warnings" },
      warnings.map(({ kind, level, where, actor, text }) =>
        h("li", { class: level }, h("strong", {}, kind), h("span", {}, actor ? link(actor) : where), h("span", {}, text)),
      ),
    ),
  ];
}

// Of what no warning says anything yet, or any more.
function uneasy(totals, history) {
  const queued = history.slice(-GROWING).map((point) => point.queued);
  const grows = queued.length === GROWING && queued.every((number, at) => !at || number > queued[at - 1]);
  return [
    totals.lost && `${count(totals.lost)} lost`,
    totals.failed && `${count(totals.failed)} failed`,
    totals.restarts && plural(totals.restarts, "restart", "restarts"),
    totals.dead_letters && plural(totals.dead_letters, "dead letter", "dead letters"),
    grows && `queues that grow, from ${count(queued[0])} to ${count(queued[queued.length - 1])}`,
  ].filter(Boolean);
}

function tiles({ sections: { totals, letters }, history }) {
  const tile = (title, value, note, over, bad) =>
    h("div", { class: `tile ${bad ? "bad" : ""}` }, h("h3", {}, title), h("p", {}, value), h("p", { class: "note" }, note), spark(history.map((point) => point[over])));
  return [
    tile("Messages a second", rate(totals.per_second), `${count(totals.handled)} handled`, "per_second"),
    tile("Time of a message", duration(totals.message_ns), "waiting and handled", "message_ns"),
    tile("Queued", count(totals.queued), "in all mailboxes", "queued"),
    tile("Lost", count(totals.lost), `and ${count(totals.failed)} failed`, "lost", totals.lost || totals.failed),
    tile("Restarts", count(totals.restarts), "of actors and processes", "restarts", totals.restarts),
    tile("Dead letters", count(totals.dead_letters), letters.length ? `${count(letters.length)} kept` : "none kept", "dead_letters", totals.dead_letters),
  ];
}

function processRows({ sections: { processes } }) {
  return table(
    "Processes",
    ["process", "number", "CPU", "memory", "restarts", "reconnects", ""],
    processes
      .slice()
      .sort((one, other) => (other.cpu ?? 0) - (one.cpu ?? 0))
      .slice(0, MOST_PROCESSES)
      .map((each) => [
        each.name === "outside" ? "the one that was started" : each.name,
        each.pid || "–",
        percent(each.cpu),
        size(each.memory_bytes),
        count(each.restarts),
        count(each.reconnects),
        each.answers ? "" : h("span", { class: "unmet" }, "does not answer"),
      ]),
    { numbers: [1, 2, 3, 4, 5] },
  );
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
  const x = history.map((point) => moment(point.at_ms));
  const line = (name, key, color, more = {}) => ({
    type: "scatter",
    mode: "lines+markers",
    marker: { size: 3, color },
    name,
    x,
    y: history.map((point) => point[key]),
    line: { color, width: 1.75 },
    ...more,
  });
  draw(
    rates,
    [line("a second", "per_second", "--bundled", { hovertemplate: "%{y:,.0f}<extra></extra>" })],
    overTime(history, history.map((point) => point.per_second), { whole: true }),
  );
  const us = (name, key, color, dash) => ({
    ...line(name, key, color, { hovertemplate: `${name}: %{text}<extra></extra>` }),
    y: history.map((point) => (point[key] == null ? null : point[key] / 1e9)),
    text: history.map((point) => duration(point[key])),
    line: { color, width: 1.75, dash },
  });
  const seconds = history.flatMap((point) => [point.waiting_ns, point.handling_ns]).map((ns) => ns && ns / 1e9);
  draw(times, [us("mailbox", "waiting_ns", "--waiting", "4px 2px"), us("handler", "handling_ns", "--bundled", "solid")], {
    ...overTime(history, seconds, { y: { ticksuffix: "s" } }),
    annotations: labels(history),
  });
}

// While nobody looks there are no points, and then no line either.
function broken(history) {
  return history.flatMap((point, index) => (index && point.at_ms - history[index - 1].at_ms > GAP_MS ? [{ at_ms: point.at_ms - 1 }, point] : [point]));
}

// The name of each line, at its end.
function labels(history) {
  const last = history[history.length - 1];
  if (!last) return [];
  return [["mailbox", "waiting_ns", "--waiting", 10], ["handler", "handling_ns", "--bundled-text", -10]]
    .filter(([, key]) => last[key] != null)
    .map(([text, key, color, shift]) => ({
      text,
      x: moment(last.at_ms),
      y: last[key] / 1e9,
      xanchor: "right",
      showarrow: false,
      yshift: last.waiting_ns >= last.handling_ns ? shift : -shift,
      font: { color, size: 11 },
    }));
}
