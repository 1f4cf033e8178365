// Bundled and relayed beside each other: of a comparison or load test while it runs or once it has ended, and of twins that shadow.

import { h, put, table } from "./dom.js";
import { amount, count, duration, percent, rate, size } from "./format.js";
import { checksTable, runState, runTitle, sideBySide, summary, verdictTable } from "./migration_parts.js";
import { axis, draw } from "./plot.js";

const DASH = { bundled: "solid", relayed: "6px 3px" };

export function migration({ model }) {
  let chosen = null; // the newest, unless somebody has chosen
  const pick = h("select", { "aria-label": "Which run", onchange: () => ((chosen = pick.value), update()) });
  const head = h("header", { class: "run" });
  const facts = h("section");
  const drawings = h("section", { class: "two" });
  const verdict = h("section");
  const shadows = h("section");
  const element = h("div", {}, h("div", { class: "tools" }, pick), head, facts, drawings, verdict, shadows);
  let pictured = "";

  function update() {
    const runs = model.measured;
    const run = runs.find((each) => each.name === chosen) ?? runs[0];
    pick.parentElement.hidden = runs.length < 2;
    put(pick, ...runs.map((each) => h("option", { value: each.name, selected: each === run }, `${runTitle(each)} · ${runState(each)[1]}`)));
    put(shadows, ...shadowed(model.sections.shadows));
    if (!run) {
      put(head, h("h2", {}, "No comparison has been made on this machine"), h("p", {}, h("code", {}, "spore compare"), " plays the same input bundled and relayed, in turns; ", h("code", {}, "spore loadtest"), " puts one of them under load. Both are seen here while they run."));
      put(facts);
      put(drawings);
      put(verdict);
      return;
    }
    put(head, ...headOf(run));
    put(facts, ...factsOf(run));
    put(verdict, ...verdictOf(run));
    const now = `${run.name} ${run.measured.length} ${run.samples.length}`;
    if (pictured !== now) {
      pictured = now;
      picture(drawings, run);
    }
  }
  return { element, update };
}

function headOf(run) {
  const [kind, said] = runState(run);
  const { progress, begin } = run;
  const share = run.end ? 1 : progress?.total ? progress.done / progress.total : null;
  return [
    h("h2", {}, runTitle(run)),
    h("p", {}, h("span", { class: `pill ${kind}`, "data-run": kind }, said), " ", !run.end && progress ? progress.what : summary(run), begin.repeat ? h("span", { class: "quiet" }, ` · ${begin.repeat} × ${begin.seconds} s a run`) : null),
    share != null && !run.end && run.goes_on && h("progress", { value: share, max: 1, "aria-label": "How much of it is done" }, percent(share)),
  ];
}

function factsOf(run) {
  if (run.command === "compare") {
    if (!run.measured.length) return [h("p", { class: "quiet" }, run.goes_on ? "The warm-up, which is thrown away; then the first numbers come." : "Nothing was measured.")];
    return [h("h2", {}, "Side by side", h("small", {}, run.end ? "medians over the repeats" : `medians of ${run.measured.length} runs so far`)), sideBySide(run)];
  }
  if (run.measured.length) {
    const rows = run.measured.map((each) => [count(each.rate), each.sustained ? h("span", { class: "met" }, "✓ sustained") : h("span", { class: "unmet" }, "✗ too much"), duration(each.output_p99_ns), count(each.lost)]);
    return [h("h2", {}, `The highest rate, ${run.begin.mode}`), table("Rates that were tried", ["messages a second", "", "late, 99 %", "lost"], rows, { numbers: [2, 3] })];
  }
  const last = run.samples[run.samples.length - 1];
  if (!last) return [];
  return [
    h(
      "div",
      { class: "strip" },
      ...[
        ["Load", rate(run.begin.rate), `messages a second, ${run.begin.mode}`],
        ["Sent", count(last.sent), ""],
        ["Waiting", count(last.waiting), ""],
        ["Late", duration(last.late_ns), "at the most, lately"],
        ["Memory", size(last.memory_bytes), ""],
      ].map(([title, value, note]) => h("div", { class: "tile" }, h("h3", {}, title), h("p", {}, value), h("p", { class: "note" }, note))),
    ),
  ];
}

function verdictOf(run) {
  if (run.end?.criteria) return [h("h2", {}, "Verdict"), verdictTable(run), ...different(run.end.first_divergence)];
  if (run.end?.checks) return [h("h2", {}, "Verdict"), checksTable(run)];
  return [];
}

function different(found) {
  if (!found) return [];
  return [
    h("h2", {}, "The first difference"),
    h("p", {}, `Number ${count((found.index ?? 0) + 1)} of the ${found.stream}, ${found.kind}`),
    table("The values that differ", ["field", found.left, found.right], (found.fields ?? []).map((each) => [each.path || "the whole message", String(each.left), String(each.right)])),
  ];
}

function picture(place, run) {
  const figure = (title, meaning, label) => {
    const drawing = h("div", { class: "drawing tall", role: "img", "aria-label": label });
    place.append(h("figure", {}, h("figcaption", {}, h("h2", {}, title), h("p", {}, meaning)), drawing));
    return drawing;
  };
  place.replaceChildren();
  const timed = run.measured.filter((each) => each.latency?.curve ?? each.hop?.curve);
  if (timed.length) curves(figure("Latency", timed[0].latency ? "from an event to the signal it causes: for each share of signals, within which time they were there" : "of the hop from market data to signals", "Latency of both modes as curves; the table has their percentiles"), timed);
  const full = run.measured.filter((each) => each.messages_per_second);
  if (full.length) turns(figure("Throughput", "events a second of each run, as fast as they are handled", "Throughput of each run of both modes; the table has the medians"), full);
  if (run.samples.length > 1) {
    series(figure("Waiting", "messages due and not handled", "Messages that wait, over time"), run, "waiting", 1, "");
    series(figure("Late", "the latest signal or order since the last look", "How late signals and orders came out, over time"), run, "late_ns", 1e9, "s");
    series(figure("Memory", "that the processes have filled themselves", "Memory, over time"), run, "memory_bytes", 1, "B");
  }
}

function curves(place, runs) {
  const curve = (run) => (run.latency ?? run.hop).curve;
  const tops = runs.flatMap(curve).map(([oneIn]) => oneIn);
  const shares = [1, 2, 10, 100, 1000, 10000].filter((each) => each <= Math.max(...tops) * 1.05);
  draw(
    place,
    runs.map((run) => ({
      type: "scatter",
      mode: "lines",
      name: run.mode,
      x: curve(run).map(([oneIn]) => oneIn),
      y: curve(run).map(([, ns]) => ns / 1e9),
      text: curve(run).map(([oneIn, ns]) => `<b>${run.mode}</b>, run ${run.turn + 1}: ${percent(1 - 1 / oneIn)} within ${duration(ns)}`),
      hovertemplate: "%{text}<extra></extra>",
      line: { color: `--${run.mode}`, width: 1.75, dash: DASH[run.mode] },
    })),
    {
      hovermode: "closest",
      xaxis: axis({ type: "log", tickvals: shares, ticktext: shares.map((each) => percent(1 - 1 / each)) }),
      yaxis: axis({ type: "log", tickformat: "~s", ticksuffix: "s", dtick: 1 }),
      annotations: named(runs, (run) => {
        const points = curve(run).filter(([oneIn]) => oneIn <= 10);
        const [oneIn, ns] = points[points.length - 1];
        return { x: Math.log10(oneIn), y: Math.log10(ns / 1e9), yanchor: "bottom" };
      }),
    },
  );
}

// The name of each mode, at its first run.
function named(runs, where) {
  return ["relayed", "bundled"].flatMap((mode) => {
    const run = runs.find((each) => each.mode === mode);
    return run ? [{ text: `<b>${mode}</b>`, showarrow: false, font: { color: `--${mode}-text`, size: 12 }, ...where(run) }] : [];
  });
}

function turns(place, runs) {
  draw(
    place,
    ["relayed", "bundled"].map((mode) => {
      const mine = runs.filter((run) => run.mode === mode);
      return {
        type: "bar",
        name: mode,
        x: mine.map((run) => `run ${run.turn + 1}`),
        y: mine.map((run) => run.messages_per_second),
        text: mine.map((run) => amount(run.messages_per_second)),
        hovertemplate: `<b>${mode}</b> %{y:,.0f} a second<extra></extra>`,
        textposition: "auto",
        marker: { color: `--${mode}` },
      };
    }),
    {
      barmode: "group",
      bargap: 0.35,
      hovermode: "closest",
      showlegend: true,
      legend: { orientation: "h", x: 0, y: 1.12, traceorder: "normal" },
      margin: { l: 52, r: 8, t: 26, b: 26 },
      xaxis: axis({ type: "category" }),
      yaxis: axis({ tickformat: "~s", rangemode: "tozero", nticks: 6 }),
    },
  );
}

function series(place, run, key, scale, unit) {
  draw(
    place,
    [{ type: "scatter", mode: "lines", x: run.samples.map((each) => each.at_s), y: run.samples.map((each) => each[key] / scale), line: { color: "--bundled", width: 1.75 }, hovertemplate: `%{y:.4~s}${unit}<extra></extra>` }],
    { xaxis: axis({ ticksuffix: " s", nticks: 6 }), yaxis: axis({ tickformat: "~s", ticksuffix: unit, rangemode: "tozero", nticks: 5 }) },
  );
}

function shadowed(twins) {
  if (!twins.length) return [];
  const rows = twins.map((each) => [
    each.bundle,
    h("span", {}, each.state, each.reason && h("small", {}, each.reason)),
    count(each.compared),
    h("span", {}, h("span", { class: each.different ? "unmet" : "met" }, each.different ? `✗ ${count(each.different)}` : "✓ none"), each.first && h("small", {}, "first: ", each.first)),
    count(each.skipped),
  ]);
  return [h("h2", {}, "Shadow", h("small", {}, "a relayed twin handles what the bundle handles, and what both send is compared")), table("Bundles and their twins", ["bundle", "state", "compared", "different", "inputs skipped"], rows, { numbers: [2, 4] })];
}
