// Parts of a comparison or a load test: what it is called, where it stands, its verdict, its measures.

import { h, table } from "./dom.js";
import { amount, change, clock, count, duration, rate, size } from "./format.js";

const SPACE = "\u00a0";
const yes = (said, otherwise) => (value) => (value ? said : otherwise);
const CRITERIA = {
  bundled_message_ns: ["Cost of a bundled message", `under 100${SPACE}ns`, (ns) => `${amount(ns)}${SPACE}ns`],
  latency_reduction_percent: ["Latency", `at least 50${SPACE}% lower`, (value) => change(-value, "higher", "lower")],
  throughput_increase_percent: ["Throughput", `more than 50${SPACE}% more`, (value) => change(value, "more", "less")],
  cpu_reduction_percent: ["CPU", `more than 30${SPACE}% less`, (value) => change(-value, "more", "less")],
  memory_increase_percent: ["Memory", `less than 10${SPACE}% more`, (value) => change(value, "more", "less")],
  identical_signals: ["Signals and orders", "identical", yes("identical", "different")],
  zero_serialisation: ["Messages encoded when bundled", "none", yes("none", "some")],
  messages_lost: ["Messages lost", "none", (value) => (value ? count(value) : "none")],
};

export const CHECKS = {
  unsent: ["Unsent at the end", count],
  sending_p99_ns: ["Sending late, 99 %", duration],
  output_p99_ns: ["Signals and orders late, 99 %", duration],
  queue_growth: ["Growth of the queues", count],
  lost: ["Messages lost", count],
  memory_mb_per_minute: ["Growth of memory, MB a minute", amount],
};

export function runTitle(run) {
  const { begin } = run;
  const what = [`spore ${run.command}`, begin.feed, begin.config].filter(Boolean).join(" · ");
  return `${what} · ${clock(begin.at)}`;
}

export function runState(run) {
  if (run.end?.error) return ["bad", `ended: ${run.end.error}`];
  if (run.end) return ["done", "done"];
  return run.goes_on ? ["live", "running"] : ["bad", "killed before its end"];
}

export function summary(run) {
  const { end } = run;
  if (!end || end.error) return "";
  if (end.criteria) {
    const all = Object.values(end.criteria);
    const met = all.filter((each) => each.met).length;
    return `${end.identical ? "Identical signals" : "The signals or orders differ"}; ${met === all.length ? `all ${met}` : `${met} of ${all.length}`} criteria met`;
  }
  if (end.checks) return `${count(end.rate)} messages a second: ${end.sustained ? "sustained" : "not sustained"}`;
  return end.sustained_rate ? `${count(end.sustained_rate)} messages a second sustained` : "no rate was sustained";
}

export function lastVerdict(runs) {
  return runs.find((run) => run.command === "compare" && run.end?.criteria);
}

export function met(value, noise) {
  if (value == null) return h("span", { class: "quiet" }, "not judged");
  return h("span", {}, h("span", { class: value ? "met" : "unmet" }, value ? "✓ met" : "✗ not met"), noise ? h("small", {}, "within noise") : null);
}

export function verdictTable(run) {
  const rows = Object.entries(run.end.criteria).map(([name, criterion]) => {
    const [title, target, said] = CRITERIA[name] ?? [name, String(criterion.target), String];
    const { low, value, high } = criterion;
    const noise = low != null && low < criterion.target && criterion.target < high;
    const measured = value == null ? "not measured" : h("data", { value: JSON.stringify(value), "data-criterion": name }, said(value));
    return [title, measured, h("span", { class: "quiet" }, target), met(criterion.met, noise)];
  });
  return table("The criteria, what was measured, and whether that is enough", ["criterion", "measured", "target", "verdict"], rows);
}

const MEASURES = [
  ["Latency, median", "event to signal", (run) => (run.latency ?? run.hop)?.p50, duration, -1],
  ["Latency, 99 %", "event to signal", (run) => (run.latency ?? run.hop)?.p99, duration, -1],
  ["Latency, 99.9 %", "event to signal", (run) => (run.latency ?? run.hop)?.p999, duration, -1],
  ["Hop, median", "market data to signals", (run) => run.hop?.p50, duration, -1],
  ["Hop, 99 %", "market data to signals", (run) => run.hop?.p99, duration, -1],
  ["Throughput", "events a second", (run) => run.messages_per_second, rate, 1],
  ["CPU", "seconds a million events", (run) => run.cpu_seconds_per_million, amount, -1],
  ["Memory at the peak", "of all processes", (run) => run.peak_memory_bytes, size, -1],
  ["Bytes encoded", "in a run for throughput", (run) => run.encoded_bytes, size, -1],
  ["Messages lost", "in all runs", (run) => run.lost, count, -1],
  ["Processes", "", (run) => run.processes, count, 0],
];

// Both modes beside each other, so far: medians of what the runs have measured.
export function sideBySide(run) {
  const rows = MEASURES.map(([name, meaning, value, said, better]) => {
    const [before, after] = ["relayed", "bundled"].map((mode) => {
      const found = run.measured.filter((each) => each.mode === mode).map(value).filter((each) => each != null);
      return name === "Messages lost" && found.length ? found.reduce((one, other) => one + other) : median(found);
    });
    if (before == null && after == null) return null;
    const most = better ? Math.max(before ?? 0, after ?? 0) : 0;
    return [
      h("span", {}, name, meaning && h("small", {}, meaning)),
      measure("relayed", before, most, said),
      measure("bundled", after, most, said),
      compared(before, after, better),
    ];
  });
  return table("Relayed and bundled, side by side", ["", "relayed", "bundled", "change"], rows.filter(Boolean), { numbers: [3], className: "sides" });
}

function measure(mode, value, most, said) {
  if (value == null) return h("span", { class: "quiet" }, "not yet");
  return h(
    "span",
    { class: "measure" },
    h("data", { value: JSON.stringify(value) }, said(value)),
    most > 0 && h("span", { class: `bar ${mode}`, "aria-hidden": "true" }, h("span", { class: "fill", style: `inline-size:${((100 * value) / most).toFixed(1)}%` })),
  );
}

function compared(before, after, better) {
  if (before == null || after == null || !better) return "";
  if (before === after) return h("span", { class: "quiet" }, "the same");
  if (!before) return "";
  const share = after ? Math.max(after / before - 1, -0.999) : -1; // nearly all is not all
  const said = share > 1 ? `${amount(after / before)} ×` : change(share * 100, "more", "less");
  return h("span", { class: Math.sign(share) === better ? "met" : "unmet" }, said);
}

function median(values) {
  if (!values.length) return null;
  const all = [...values].sort((one, other) => one - other);
  const middle = all.length >> 1;
  return all.length % 2 ? all[middle] : (all[middle - 1] + all[middle]) / 2;
}

export function checksTable(run) {
  const rows = Object.entries(run.end.checks).map(([name, check]) => {
    const [title, said] = CHECKS[name] ?? [name, amount];
    return [title, said(check.value), h("span", { class: "quiet" }, `at most ${said(check.limit)}`), met(check.met)];
  });
  return table("What the load is held to", ["check", "measured", "limit", "verdict"], rows);
}
