// Numbers as people read them, in the words of the report of `spore compare`.

const SPACE = "\u00a0";
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const DURATIONS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
const SIZES = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]];

// To two digits or three, or to the last one before the point.
export function amount(value) {
  if (value == null) return "–";
  if (Number.isInteger(value) || Math.abs(value) >= 100) return WHOLE.format(value);
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const scaled = (scales) => (value) => {
  if (value == null) return "–";
  if (!value) return `0${SPACE}${scales[scales.length - 1][1]}`;
  const [scale, unit] = scales.find(([each]) => Math.abs(value) >= each) ?? scales[scales.length - 1];
  return `${amount(value / scale)}${SPACE}${unit}`;
};

export const duration = scaled(DURATIONS); // of nanoseconds
export const size = scaled(SIZES); // of bytes
export const count = (value) => (value == null ? "–" : WHOLE.format(value));
export const rate = (value) => (value == null ? "–" : value > 0 && value < 10 ? value.toFixed(1) : WHOLE.format(value));
export const percent = (share) => (share == null ? "–" : `${amount(share * 100)}${SPACE}%`);
export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

export function change(value, more, less) {
  return value == null ? "–" : `${Math.abs(value).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 })}${SPACE}% ${value >= 0 ? more : less}`;
}

export function clock(iso) {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? "" : at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

export function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s}${SPACE}s ago`;
  if (s < 3600) return `${Math.floor(s / 60)}${SPACE}min ago`;
  return s < 86400 ? `${Math.floor(s / 3600)}${SPACE}h ago` : `${Math.floor(s / 86400)}${SPACE}d ago`;
}
