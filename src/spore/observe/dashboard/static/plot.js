// Charts. Plotly is loaded when the first one is drawn; a colour is named as the stylesheet names it, such as --bundled.

import { svg } from "./dom.js";

const drawn = new Map();
let loading;

function plotly() {
  loading ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = "plotly.js";
    script.onload = () => done(window.Plotly);
    script.onerror = () => {
      script.remove();
      loading = undefined;
      failed(new Error("the server has gone"));
    };
    document.head.append(script);
  });
  return loading;
}

function coloured(value, style) {
  if (Array.isArray(value)) return value.map((each) => coloured(each, style));
  if (value === null || typeof value !== "object") {
    return typeof value === "string" && value.startsWith("--") ? style.getPropertyValue(value).trim() : value;
  }
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, coloured(each, style)]));
}

export async function draw(place, data, layout) {
  drawn.set(place, [data, layout]);
  const Plotly = await plotly().catch(() => null); // it is tried again when something is drawn again
  if (!Plotly) return;
  if (!place.isConnected || drawn.get(place)?.[0] !== data) return;
  const style = getComputedStyle(document.documentElement);
  const base = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 11, color: "--quiet" },
    hoverlabel: { bgcolor: "--raised", bordercolor: "--line", font: { color: "--text" } },
    margin: { l: 52, r: 8, t: 6, b: 26 },
    showlegend: false,
    dragmode: false,
    hovermode: "x unified",
  };
  const [traces, whole] = coloured([data, { ...base, ...layout }], style);
  await Plotly.react(place, traces, whole, { displayModeBar: false, responsive: true });
}

export const axis = (more = {}) => ({
  gridcolor: "--line",
  linecolor: "--line",
  zeroline: false,
  fixedrange: true,
  tickangle: 0,
  automargin: true,
  ...more,
});

// Axes of what is over time: a minute at least, and from zero, in whole steps where there is little.
export function overTime(points, values, more = {}) {
  const last = points.length ? points[points.length - 1].at_ms : 0;
  const first = Math.min(points[0]?.at_ms ?? 0, last - 60_000);
  const most = Math.max(0, ...values.filter((value) => value != null));
  return {
    xaxis: axis({ type: "date", nticks: 5, tickformat: "%H:%M:%S", range: [moment(first), moment(last)] }),
    yaxis: axis({ tickformat: "~s", nticks: 5, range: [0, most * 1.1 || 1], ...(more.whole && most < 5 ? { dtick: 1 } : {}), ...more.y }),
  };
}

// A moment in the time of whoever looks, as plotly reads it.
export function moment(ms) {
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, -1);
}

// What is no longer in the page is let go of; the rest is drawn again, in the colours of the hour.
export function redraw() {
  for (const [place, [data, layout]] of drawn) {
    if (place.isConnected) draw(place, data, layout);
  }
}

export function forget() {
  for (const place of drawn.keys()) {
    if (place.isConnected) continue;
    window.Plotly?.purge(place);
    drawn.delete(place);
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

// Values over time as a small line, for a glance.
export function spark(values, { width = 120, height = 24 } = {}) {
  const known = values.filter((value) => value != null);
  if (known.length < 2) return null;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "spark", preserveAspectRatio: "none", "aria-hidden": "true" });
  const top = Math.max(...known) || 1;
  const step = width / Math.max(values.length - 1, 1);
  const points = values
    .map((value, index) => [value, index])
    .filter(([value]) => value != null)
    .map(([value, index]) => `${(index * step).toFixed(1)},${(height - 2 - (value / top) * (height - 4)).toFixed(1)}`);
  picture.append(
    svg("polygon", { points: `0,${height} ${points.join(" ")} ${width},${height}` }),
    svg("polyline", { points: points.join(" "), "vector-effect": "non-scaling-stroke" }),
  );
  return picture;
}
